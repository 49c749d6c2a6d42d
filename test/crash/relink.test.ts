// A relink that stops at any moment: power fails, or the process is killed. Its journal is whole by then, or was not there.
import { describe, expect, it } from 'vitest';
import { examine } from '../../src/disk/recognise.ts';
import { formatUuid } from '../../src/format/uuid.ts';
import type { Journal } from '../../src/open-journal.ts';
import { HERE } from '../../src/open-parent-paths.ts';
import { parentReferenceBetween } from '../../src/open-parent-reference.ts';
import { carryOut, rollBack } from '../../src/ops/journal.ts';
import { planRelink, type RelinkImage } from '../../src/ops/relink-plan.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { firstDifference } from '../support/bytes.ts';
import { CHILD_LAYOUTS, CHILD_UUID, childImage, PARENT_TIMESTAMP, PARENT_UUID } from '../support/child-images.ts';
import { type CrashedFile, CrashStorage, LOSSES } from '../support/crash-storage.ts';
import { numberFromEnv, Random } from '../support/seed.ts';

const CRASHES_AT_A_MOMENT = numberFromEnv('VHDKIT_CRASHES', 6);

async function imageIn(storage: Storage): Promise<RelinkImage> {
  const examination = await examine(storage);
  const { footer, header, virtualSize } = examination;
  if (footer === undefined || header === undefined || virtualSize === undefined) throw new Error('it is an image');
  return { ...examination, storage, footer, header, virtualSize };
}

async function journalFor(storage: Storage): Promise<Journal> {
  const about = { uniqueId: PARENT_UUID, timestamp: PARENT_TIMESTAMP };
  const reference = parentReferenceBetween('/vm/child.vhd', '/elsewhere/of the vm/base.vhd', about, HERE);
  const image = await imageIn(storage);
  const plan = await planRelink(image, reference);
  const { fileSize } = image;
  return { verb: 'relink', uuid: formatUuid(CHILD_UUID), startedAt: '2026-11-24T10:00:00Z', fileSize, ...plan };
}

async function bytesOf(storage: Storage): Promise<Uint8Array> {
  const bytes = new Uint8Array(await storage.size());
  await storage.read(bytes, 0);
  return bytes;
}

/** Stops at every moment of some work, in several ways, and hands on each file that is left. */
async function crashing(
  storage: CrashStorage,
  random: Random,
  work: () => Promise<void>,
): Promise<Map<string, CrashedFile>> {
  const left = new Map<string, CrashedFile>();
  const crash = (): void => {
    for (const loss of LOSSES) {
      for (let count = 0; count < CRASHES_AT_A_MOMENT; count++) {
        const file = storage.crash(loss, random);
        left.set(file.key, file);
      }
    }
  };
  storage.onMoment = crash;
  await work();
  crash();
  return left;
}

describe('a relink that stops at any moment', () => {
  it.each(Object.entries(CHILD_LAYOUTS))('is finished by the next one: an image %s', async (name, shape) => {
    const random = new Random(numberFromEnv('VHDKIT_SEED', name.length));
    const before = childImage(shape);
    const storage = new CrashStorage(before);
    let changes = 0;
    storage.onMoment = () => changes++;
    const journal = await journalFor(storage);
    // Nothing is written before the journal is there.
    expect(changes).toBe(0);
    expect(journal.writes.length).toBeGreaterThan(0);
    const left = await crashing(storage, random, () => carryOut(storage, journal));
    const after = await bytesOf(storage);
    expect(firstDifference(after, before)).toBeGreaterThan(-1);
    // What follows is that the journal goes: everything has to be on the medium by then.
    expect(firstDifference(storage.crash('nothing-durable-only', random).toBytes(), after)).toBe(-1);
    expect(left.size).toBeGreaterThan(3);
    for (const file of left.values()) await expectFinished(file, journal, after, random);
  });

  async function expectFinished(file: CrashedFile, journal: Journal, after: Uint8Array, random: Random): Promise<void> {
    const again = new CrashStorage(file.toBytes());
    const leftAgain = await crashing(again, random, () => carryOut(again, journal));
    expect(firstDifference(await bytesOf(again), after)).toBe(-1);
    // The one that finishes it may stop as well.
    const [second] = [...leftAgain.values()].slice(random.below(leftAgain.size));
    const third = new MemoryStorage(second?.toBytes() ?? new Uint8Array(0));
    await carryOut(third, journal);
    expect(firstDifference(await bytesOf(third), after)).toBe(-1);
  }

  it('and is taken back whole where writing fails', async () => {
    for (const shape of Object.values(CHILD_LAYOUTS)) {
      const before = childImage(shape);
      const storage = new CrashStorage(before);
      const journal = await journalFor(storage);
      const left = await crashing(storage, new Random(1), () => carryOut(storage, journal));
      for (const file of left.values()) {
        const torn = new MemoryStorage(file.toBytes());
        await rollBack(torn, journal);
        expect(firstDifference(await bytesOf(torn), before)).toBe(-1);
      }
    }
  });
});
