// Random programs on a disk whose storage can crash at any moment, and the check of what a crash left.
import { openVhdStorage } from '../../src/disk/open-storage.ts';
import type { VhdDisk } from '../../src/disk/vhd-disk.ts';
import { decodeFooter, isFooter } from '../../src/format/footer.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { pattern } from '../support/bytes.ts';
import { CrashStorage, type Loss } from '../support/crash-storage.ts';
import { contradiction, type Expectation, History } from '../support/history.ts';
import { Random } from '../support/seed.ts';

/** A file that a crash could have left, and what must be in it. */
export interface CrashState {
  readonly image: Uint8Array;
  readonly expectation: Expectation;
  readonly loss: Loss;
  readonly moment: number;
  /** True from when the image was opened, or if it was whole before. */
  readonly isWhole: boolean;
}

const LOSSES: readonly [Loss, ...Loss[]] = ['any-sectors', 'whole-writes', 'killed', 'nothing-durable-only'];

/** Runs one random program on an image, to its close, and collects states of crashes on the way. */
export async function runProgram(image: Uint8Array, content: Uint8Array, seed: number): Promise<CrashState[]> {
  const random = new Random(seed);
  const storage = new CrashStorage(image);
  const history = new History(content);
  const states: CrashState[] = [];
  let moment = 0;
  let isWhole = endsInFooter(image);
  storage.onMoment = () => {
    moment++;
    const losses: Loss[] = ['killed', random.pick(LOSSES), 'any-sectors'];
    for (const loss of losses) {
      states.push({ image: storage.crash(loss, random), expectation: history.expectation(), loss, moment, isWhole });
    }
  };
  storage.delay = async (call) => {
    // A barrier takes its time, so that whole writes begin and end while it runs.
    for (let turn = random.below(call === 'flush' ? 120 : 10); turn > 0; turn--) await Promise.resolve();
  };
  const disk = await openVhdStorage(storage, { writable: true, bitmap: 'honour' });
  isWhole = true;
  const calls: Promise<void>[] = [];
  for (let step = 4 + random.below(20); step > 0; step--) {
    calls.push(nextCall(disk, history, random));
    if (random.oneIn(4)) await Promise.all(calls.splice(0));
    else await storage.delay(random.oneIn(3) ? 'flush' : 'write');
  }
  await Promise.all(calls);
  const done = history.beginFlush();
  await disk.close();
  done();
  storage.onMoment();
  return states;
}

async function nextCall(disk: VhdDisk, history: History, random: Random): Promise<void> {
  if (random.oneIn(4)) {
    const done = history.beginFlush();
    await disk.flush();
    done();
    return;
  }
  const { position, length } = nextRange(disk, random);
  if (random.oneIn(4)) {
    const done = history.begin(position, new Uint8Array(length));
    await disk.discard(position, length);
    done();
    return;
  }
  const source = pattern(length, 1 + random.below(1_000_000));
  const done = history.begin(position, source);
  await disk.write(source, position);
  done();
}

function nextRange(disk: VhdDisk, random: Random): { position: number; length: number } {
  const blockSize = disk.blockSize ?? 4096;
  const blockCount = Math.ceil(disk.size / blockSize);
  if (random.oneIn(3)) {
    const position = random.below(blockCount) * blockSize;
    return { position, length: Math.min(blockSize * (1 + random.below(5)), disk.size - position) };
  }
  const position = random.below(disk.size);
  return { position, length: Math.min(random.below(3 * blockSize), disk.size - position) };
}

/** Opens what a crash left, both ways, and says what is wrong with it; undefined if nothing is. */
export async function checkState(state: CrashState, random: Random): Promise<string | undefined> {
  const { image, expectation, loss, isWhole } = state;
  if (loss === 'killed' && isWhole && !endsInFooter(image)) return 'the file does not end in a valid footer';
  const readable = await openVhdStorage(new MemoryStorage(image), { bitmap: 'honour' });
  const misplaced = readable.findings.find((item) => item.severity === 'error');
  if (misplaced !== undefined) return `after the crash: ${misplaced.rule}`;
  const found = await readable.readBytes(0, readable.size);
  const wrong = contradiction(expectation, found);
  if (wrong !== undefined) return wrong;
  const memory = new MemoryStorage(image);
  const writable = await openVhdStorage(memory, { writable: true, bitmap: 'honour' });
  const position = random.below(writable.size);
  const source = pattern(Math.min(5000, writable.size - position), 99);
  await writable.write(source, position);
  await writable.close();
  found.set(source, position);
  return checkRepaired(memory.toBytes(), found);
}

async function checkRepaired(image: Uint8Array, expected: Uint8Array): Promise<string | undefined> {
  if (!endsInFooter(image)) return 'after opening for writing and closing, the file does not end in a valid footer';
  const disk = await openVhdStorage(new MemoryStorage(image), { bitmap: 'honour' }).catch(String);
  if (typeof disk === 'string') return `after opening for writing and closing: ${disk}`;
  if (disk.findings.some((item) => item.severity !== 'note')) {
    return `after opening for writing and closing: ${disk.findings.map((item) => item.rule).join(', ')}`;
  }
  const isSame = Buffer.compare(await disk.readBytes(0, disk.size).catch(() => new Uint8Array(0)), expected) === 0;
  return isSame ? undefined : 'a write after the crash changed other bytes, or did not last';
}

function endsInFooter(image: Uint8Array): boolean {
  return image.length >= 512 && isFooter(decodeFooter(image.subarray(-512)));
}
