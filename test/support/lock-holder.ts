// A process that holds an image open until its standard input ends. Arguments: path, read or write.
import { stdin, stdout } from 'node:process';
import { finished } from 'node:stream/promises';
import { openDisk } from '../../src/open.ts';

const [path = '', kind] = process.argv.slice(2);
const { disk } = await openDisk(path, { writable: kind === 'write' });
stdout.write('open\n');
await finished(stdin.resume());
await disk.close();
