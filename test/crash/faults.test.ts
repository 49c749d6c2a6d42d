// The n-th call on the storage fails, for every n: until the program runs through without making so many calls.
import { describe, expect, it } from 'vitest';
import { isThorough, numberFromEnv } from '../support/seed.ts';
import type { Arrival } from './fault-storage.ts';
import { runWithFault } from './faults.ts';
import { describeProgram, makeProgram } from './program.ts';
import { SUBJECTS } from './subjects.ts';

const SEED = numberFromEnv('VHDKIT_SEED', 20_261_124);
/** Programs on each image; a program is run once for each of its calls, or, unless told how many, for some of them. */
const PROGRAMS = numberFromEnv('VHDKIT_FAULT_PROGRAMS', 1);
const EIO_STRIDE = process.env['VHDKIT_FAULT_PROGRAMS'] !== undefined ? 1 : isThorough ? 4 : 7;
const ENOSPC_STRIDE = isThorough ? 5 : 9;
const NAMES = [
  'a packed image with blocks',
  'an aligned image',
  'an image with slack',
  'an image with old bytes under clear bits',
  'an image without a footer at the start',
  'a fixed image',
  'a fixed image on a storage that discards',
  'a child with garbage in gaps',
  ...(PROGRAMS > 1 ? ['a child of a fixed image', 'an empty child of a child', 'a child larger than its parent'] : []),
];
const ARRIVALS: readonly [Arrival, ...Arrival[]] = ['nothing', 'part', 'all'];

describe.each(SUBJECTS.filter(({ name }) => NAMES.includes(name)))(
  'a disk on a storage that fails: $name',
  (subject) => {
    // Each image gets programs of its own.
    const first = SEED + NAMES.indexOf(subject.name) * 1000;
    const programs = Array.from({ length: PROGRAMS }, (_, index) => makeProgram(subject, first + index));

    it.each(['EIO', 'ENOSPC'])('says so, whichever call it is, and keeps what was flushed (%s)', async (code) => {
      for (const program of programs) {
        // On a full file system it does not matter which call finds that out first as long as none of them grows the file.
        const stride = code === 'ENOSPC' ? ENOSPC_STRIDE : EIO_STRIDE;
        let at = 1;
        for (let isReached = true; isReached; at += stride) {
          const fault = { at, arrival: ARRIVALS[at % 3] ?? 'nothing', isFull: code === 'ENOSPC' };
          const run = await runWithFault(program, fault);
          isReached = run.isReached;
          if (run.wrong === undefined) continue;
          const where = `seed ${program.seed}, call ${at} (${fault.arrival} arrives)`;
          expect.fail(`${where}: ${run.wrong}\n${describeProgram(program)}`);
        }
        expect(at).toBeGreaterThan(10);
      }
    });
  },
);
