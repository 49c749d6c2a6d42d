// Crashes at every moment of random programs. A state is a file that a crash could have left, counted once for each
// set of bytes that must be in it. More of them, other seeds: npm run test:crash -- --help.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { numberFromEnv } from '../support/seed.ts';
import { MUTATIONS } from './mutations.ts';
import { search } from './search.ts';
import { SUBJECTS } from './subjects.ts';

const SEED = numberFromEnv('VHDKIT_SEED', 7);
const STATES = numberFromEnv('VHDKIT_CRASH_STATES', 5800);

describe('a crash at any moment leaves everything that was flushed', () => {
  const weights = SUBJECTS.reduce((sum, { weight }) => sum + weight, 0);

  const isAsked = process.env['VHDKIT_CRASH_STATES'] !== undefined;

  it.each(SUBJECTS.filter(({ isOnDemand }) => isOnDemand !== true || isAsked))('of $name', async (subject) => {
    const wanted = Math.ceil((STATES * subject.weight) / weights);
    // What is left of the last program is looked at too, but of large images: half the time would be theirs.
    const isExact = !isAsked && subject.content.length > 512 * 1024;
    const { failure, stateCount } = await search(subject, SEED, wanted, isExact);
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
