// Crashes at every moment of random programs. A state is a file that a crash could have left, counted once for each
// set of bytes that must be in it. More of them, other seeds: npm run test:crash -- --help.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isThorough, numberFromEnv } from '../support/seed.ts';
import { MUTATIONS } from './mutations.ts';
import { search } from './search.ts';
import { SUBJECTS, type Subject } from './subjects.ts';

/** Any would do; what they find is what `npm run test:teeth` shows, with others and with more states. */
const seedFor = ({ parents }: Subject): number => numberFromEnv('VHDKIT_SEED', parents.length === 0 ? 7 : 20_240_601);
const STATES = numberFromEnv('VHDKIT_CRASH_STATES', isThorough ? 3600 : 1800);

describe('a crash at any moment leaves everything that was flushed', () => {
  const weights = SUBJECTS.reduce((sum, { weight }) => sum + weight, 0);

  const isAsked = process.env['VHDKIT_CRASH_STATES'] !== undefined;

  it.each(SUBJECTS.filter(({ isOnDemand }) => isOnDemand !== true || isAsked))('of $name', async (subject) => {
    const wanted = Math.ceil((STATES * subject.weight) / weights);
    // The last program is looked at to its end, but of large images: it alone would be half of the time.
    const isExact = !isAsked && subject.content.length > 512 * 1024;
    const { failure, stateCount } = await search(subject, seedFor(subject), wanted, isExact);
    if (failure !== undefined) expect.fail(failure);
    expect(stateCount).toBeGreaterThanOrEqual(wanted);
  });
});

describe('the mutations that npm run test:teeth makes', () => {
  it.each(MUTATIONS)('still fit the sources: $name', async ({ file, from }) => {
    const text = await readFile(join(import.meta.dirname, '../../src/disk', file), 'utf8');
    expect(text.split(from)).toHaveLength(2);
  });
});
