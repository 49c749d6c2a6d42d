#!/usr/bin/env node
import { argv, stdout } from 'node:process';
import { version } from './version.ts';

// Answered here, so that it costs nothing: the program and commander are loaded for everything else.
if (argv.length === 3 && (argv[2] === '--version' || argv[2] === '-V')) {
  stdout.write(`${version()}\n`);
} else {
  void import('./main.ts').then(({ main }) => main(argv.slice(2)));
}
