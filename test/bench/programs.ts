// What is run: our command and the worker as they are built, qemu-img, and what makes files for them.
import { spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, symlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { buildCommand, buildLibrary } from '../../.config/build.ts';
import { qemuBenchWords } from '../../src/ops/bench-qemu.ts';
import type { Scenario, Target } from './scenarios.ts';
import type { Job } from './worker.ts';

const MIB = 1024 * 1024;

/** The programs, built into a folder that is removed with everything in it. */
export class Programs {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Builds the command, the library and the worker. */
  static async build(directory: string): Promise<Programs> {
    const programs = new Programs(directory);
    await Promise.all([
      buildCommand(programs.at('bin')),
      buildLibrary(programs.at('lib')),
      build({
        ...{ entryPoints: { worker: join(import.meta.dirname, 'worker.ts') }, outdir: directory, bundle: true },
        ...{
          format: 'esm',
          platform: 'node',
          target: 'node20.19',
          outExtension: { '.js': '.mjs' },
          logLevel: 'warning',
        },
        plugins: [shippedLibrary],
      }),
    ]);
    // Where an installed command would find the native helper, and the library its dependencies.
    symlinkSync(join(import.meta.dirname, '../../node_modules'), programs.at('node_modules'));
    return programs;
  }

  /** A path in the folder. */
  at(name: string): string {
    return join(this.#directory, name);
  }

  /** The words that run our command. */
  vhd(...words: readonly string[]): string[] {
    return [process.execPath, this.at('bin/vhd.cjs'), ...words];
  }

  /** The words that do what a scenario is about, on a file that is there. */
  access(scenario: Scenario, target: Target, path: string, seed: number): string[] {
    const { pattern, diskBytes } = scenario;
    const isRead = scenario.action === 'read';
    if (isQemu(target)) return ['qemu-img', ...qemuBenchWords({ path, isRead, ...pattern })];
    const job: Job = { path, isPlain: target === 'plain', isRead, diskBytes, pattern, seed };
    return [process.execPath, this.at('worker.mjs'), JSON.stringify(job)];
  }

  /** Makes the empty file of a target, by the program whose format it is. */
  create(target: Target, path: string, diskBytes: number): void {
    const isFixed = target.endsWith('fixed');
    if (target === 'plain') closeSync(openSync(path, 'wx'));
    else if (!isQemu(target)) run(this.vhd('create', path, String(diskBytes), '--type', target));
    else run(['qemu-img', 'create', '-q', '-f', 'vpc', '-o', qemuOptions(isFixed), path, String(diskBytes)]);
  }
}

/** True if `qemu-img bench` does it. */
export function isQemu(target: Target): boolean {
  return target.startsWith('qemu-');
}

function qemuOptions(isFixed: boolean): string {
  return `subformat=${isFixed ? 'fixed' : 'dynamic'},force_size=on`;
}

/** The library as it is shipped, instead of its sources. */
const shippedLibrary: Plugin = {
  name: 'shipped-library',
  setup(bundle) {
    bundle.onResolve({ filter: /^vhdkit$/ }, () => ({ path: './lib/index.js', external: true }));
  },
};

/** Runs a program to its end. */
export function run(words: readonly string[]): void {
  const [program = '', ...rest] = words;
  const { status, stderr, error } = spawnSync(program, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${words.join(' ')} ended with ${String(status)}: ${String(stderr)}`);
}

/** A file of `diskBytes` with random bytes at `start`, and a hole for the rest. */
export function writeRandom(path: string, byteLength: number, diskBytes: number = byteLength, start = 0): void {
  const file = openSync(path, 'w');
  const piece = new Uint8Array(MIB);
  for (let position = 0; position < byteLength; position += MIB) {
    writeSync(file, randomFillSync(piece), 0, MIB, start + position);
  }
  ftruncateSync(file, diskBytes);
  closeSync(file);
}
