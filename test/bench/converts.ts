// Whole commands against qemu-img: conversions, and how long the command takes to start.
import { rmSync } from 'node:fs';
import { interleave, type Timed, type Timing } from './interleave.ts';
import { type Programs, run, writeRandom } from './programs.ts';

/** A conversion, or the start: the last timing is what the others are measured against. */
export interface CommandComparison {
  readonly title: string;
  readonly timings: readonly Timing[];
}

/** Where and how often. */
interface Place {
  readonly programs: Programs;
  readonly directory: string;
  readonly rounds: number;
}

const MIB = 1024 * 1024;

/** Measures all of them, one after the other. */
export function* compareConversions(place: Place): Generator<CommandComparison> {
  const { programs } = place;
  const at = (name: string): string => programs.at(name);
  writeRandom(at('r.raw'), 1024 * MIB);
  run(programs.vhd('convert', at('r.raw'), at('ours.vhd')));
  const vpc = ['-O', 'vpc', '-o', 'force_size=on'];
  yield conversion(place, '1 GiB of random bytes, raw to dynamic', {
    ours: [at('r.raw'), at('o.vhd')],
    theirs: ['-f', 'raw', ...vpc, at('r.raw'), at('o.vhd')],
  });
  yield conversion(place, '1 GiB of random bytes, dynamic to raw', {
    ours: [at('ours.vhd'), at('o.raw')],
    theirs: ['-f', 'vpc', '-O', 'raw', at('ours.vhd'), at('o.raw')],
  });
  run(programs.vhd('create', at('big.vhd'), '100G'));
  run(programs.vhd('write', at('big.vhd'), at('r.raw'), '--start', '50G'));
  rmSync(at('r.raw'));
  rmSync(at('ours.vhd'));
  yield conversion(place, '100 GiB dynamic with 1 GiB of data, to sparse raw', {
    ours: [at('big.vhd'), at('o.raw')],
    theirs: ['-f', 'vpc', '-O', 'raw', at('big.vhd'), at('o.raw')],
  });
  writeRandom(at('sparse.raw'), 1024 * MIB, 100 * 1024 * MIB, 50 * 1024 * MIB);
  const sparseTargets = [
    ['dynamic', vpc],
    ['fixed', ['-O', 'vpc', '-o', 'subformat=fixed,force_size=on']],
    ['raw', ['-O', 'raw']],
  ] as const;
  for (const [to, options] of sparseTargets) {
    yield conversion(place, `100 GiB sparse raw with 1 GiB of data, to ${to === 'raw' ? 'sparse raw' : to}`, {
      ours: [at('sparse.raw'), at('o.out'), '--to', to],
      theirs: ['-f', 'raw', ...options, at('sparse.raw'), at('o.out')],
    });
  }
  rmSync(at('sparse.raw'));
  yield startUp(place);
  rmSync(at('big.vhd'));
}

interface Calls {
  /** After `convert`; the last word of `theirs` is the output of both. */
  readonly ours: readonly string[];
  readonly theirs: readonly string[];
}

function conversion({ programs, directory, rounds }: Place, title: string, { ours, theirs }: Calls): CommandComparison {
  const outputs = theirs.slice(-1);
  const commands: Timed[] = [
    { name: 'vhd', words: programs.vhd('convert', ...ours), outputs },
    { name: 'qemu-img', words: ['qemu-img', 'convert', ...theirs], outputs },
  ];
  return { title: `convert, ${title}`, timings: interleave(commands, rounds, directory) };
}

function startUp({ programs, directory }: Place): CommandComparison {
  const commands: Timed[] = [
    { name: 'vhd --version', words: programs.vhd('--version'), outputs: [] },
    { name: 'vhd info', words: programs.vhd('info', programs.at('big.vhd')), outputs: [] },
    { name: 'node -e 0', words: [process.execPath, '-e', '0'], outputs: [] },
  ];
  return { title: 'start-up', timings: interleave(commands, 15, directory) };
}
