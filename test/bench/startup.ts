// How long the built command takes to start, against a node that does nothing: medians of 15, taken in turns.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stdout } from 'node:process';
import { buildCommand } from '../../.config/build.ts';
import { median } from '../../src/ops/median.ts';

const ROUNDS = 15;
const LIMITS: Readonly<Record<string, number>> = { '--version': 1.5, info: 1.8, id: 1.8 };

const folder = mkdtempSync(join(tmpdir(), 'vhdkit-startup-'));
try {
  await buildCommand(folder);
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n');
  const [command, image] = [join(folder, 'vhd.cjs'), join(folder, 'disk.vhd')];
  execFileSync(process.execPath, [command, 'create', image, '20G']);
  const calls = new Map<string, readonly string[]>([
    ['node -e 0', ['-e', '0']],
    ['--version', [command, '--version']],
    ['info', [command, 'info', image]],
    ['id', [command, 'id', image]],
    ['--help', [command, '--help']],
  ]);
  stdout.write(table(measure(calls)));
} finally {
  rmSync(folder, { recursive: true });
}

function measure(calls: ReadonlyMap<string, readonly string[]>): Map<string, number> {
  const samples = new Map<string, number[]>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, args] of calls) {
      const startedAt = performance.now();
      spawnSync(process.execPath, args, { stdio: 'ignore' });
      samples.set(name, [...(samples.get(name) ?? []), performance.now() - startedAt]);
    }
  }
  return new Map([...samples].map(([name, times]) => [name, median(times)]));
}

function table(medians: ReadonlyMap<string, number>): string {
  const base = medians.get('node -e 0') ?? Number.NaN;
  const lines = [...medians].map(([name, time]) => {
    const limit = LIMITS[name] === undefined ? '' : `  (limit ${LIMITS[name]} x)`;
    return `${name.padEnd(10)} ${time.toFixed(1).padStart(6)} ms  ${(time / base).toFixed(2)} x${limit}\n`;
  });
  return lines.join('');
}
