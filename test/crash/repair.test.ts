// A repair and its undoing that stop at any moment: the journal finishes either, whatever is left.
import { describe, expect, it } from 'vitest';
import type { Journal } from '../../src/open-journal.ts';
import { decodeJournal, encodeJournal } from '../../src/open-journal-record.ts';
import { carryOut, isDone, rollBack } from '../../src/ops/journal.ts';
import { planRepair } from '../../src/ops/repair-plan.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { firstDifference } from '../support/bytes.ts';
import { type CrashedFile, CrashStorage, LOSSES } from '../support/crash-storage.ts';
import { type Defect, defects } from '../support/defects.ts';
import { numberFromEnv, Random } from '../support/seed.ts';

const CRASHES_AT_A_MOMENT = numberFromEnv('VHDKIT_CRASHES', 3);
const NAMES = ['leaked-block', 'dynamic-appended-sector', 'end-footer-cut', 'entries-equal', 'odd-bytes-before-footer'];
const PERMITS = { cut: true, dropBlocks: true, zeroFill: true, setBits: false, rebuildBat: true, footer: undefined };

async function journalFor({ image }: Defect): Promise<Journal> {
  const before = image();
  const { draft } = await planRepair(new MemoryStorage(before), { permits: PERMITS, nowMilliseconds: 0 });
  const changes = await draft.changes();
  const uuid = '10111213-1415-1617-1819-1a1b1c1d1e1f';
  const journal: Journal = {
    ...{ verb: 'repair', uuid, startedAt: '2026-11-24T10:00:00Z', fileSize: before.length, ...changes },
  };
  const read = decodeJournal(encodeJournal(journal)).journal;
  if (read === undefined) throw new Error('a journal is read back');
  return read;
}

async function bytesOf(storage: MemoryStorage): Promise<Uint8Array> {
  const bytes = new Uint8Array(await storage.size());
  await storage.read(bytes, 0);
  return bytes;
}

async function crashing(
  bytes: Uint8Array,
  random: Random,
  work: (storage: CrashStorage) => Promise<void>,
): Promise<CrashedFile[]> {
  const storage = new CrashStorage(bytes);
  const left = new Map<string, CrashedFile>();
  storage.onMoment = () => {
    for (const loss of LOSSES) {
      for (let count = 0; count < CRASHES_AT_A_MOMENT; count++) {
        const file = storage.crash(loss, random);
        left.set(file.key, file);
      }
    }
  };
  await work(storage);
  return [...left.values()];
}

describe.each(defects.filter(({ name }) => NAMES.includes(name)).map((defect) => [defect.name, defect] as const))(
  'a repair of %s that stops at any moment',
  (name, defect) => {
    it('is finished or taken back, and its undoing is too', async () => {
      const random = new Random(numberFromEnv('VHDKIT_SEED', name.length));
      const [before, journal] = [defect.image(), await journalFor(defect)];
      const whole = new MemoryStorage(before.slice());
      await carryOut(whole, journal);
      expect(await isDone(whole, journal)).toBe(true);
      const after = await bytesOf(whole);
      expect(firstDifference(after, before)).toBeGreaterThan(-1);
      const left = [
        ...(await crashing(before, random, (storage) => carryOut(storage, journal))),
        ...(await crashing(after, random, (storage) => rollBack(storage, journal))),
      ];
      expect(left.length).toBeGreaterThan(4);
      for (const file of left) {
        const [forth, back] = [new MemoryStorage(file.toBytes()), new MemoryStorage(file.toBytes())];
        await carryOut(forth, journal);
        expect(firstDifference(await bytesOf(forth), after)).toBe(-1);
        await rollBack(back, journal);
        expect(firstDifference(await bytesOf(back), before)).toBe(-1);
      }
    });
  },
);
