// What must be true of every file that a crash left.

import type { VhdDisk } from '../../src/disk/vhd-disk.ts';
import { ArrayStorage } from '../support/array-storage.ts';
import { firstDifference } from '../support/bytes.ts';
import { contradiction } from '../support/history.ts';
import { mix, Random } from '../support/seed.ts';
import type { CrashState } from './execute.ts';
import { bytesOf } from './program.ts';
import { endsInFooter, structuralFault } from './structure.ts';
import { openSubject, type Subject } from './subjects.ts';

/**
 * Says what is wrong with what a crash left; undefined if nothing is. It must open for reading and for writing, hold
 * what is expected, keep every block to itself, and a write and a close must make a clean image of it.
 */
export async function faultOf(state: CrashState): Promise<string | undefined> {
  try {
    return await examine(state);
  } catch (error) {
    return `it does not open, or cannot be read: ${String(error)}`;
  }
}

async function examine(state: CrashState): Promise<string | undefined> {
  const { file, expectation, loss, isWhole, moment, pick } = state;
  const { subject } = state.program;
  const image = file.toBytes();
  if (loss === 'killed' && isWhole && !endsInFooter(image)) return 'the file does not end in a valid footer';
  const fault = structuralFault(image, subject.image);
  if (fault !== undefined) return fault;
  const readable = await openSubject(new ArrayStorage(image), subject);
  const misplaced = readable.findings.find((item) => item.severity === 'error');
  if (misplaced !== undefined) return misplaced.rule;
  const content = await readable.readBytes(0, readable.size);
  const wrong = contradiction(expectation, content);
  if (wrong !== undefined) return wrong;
  const storage = new ArrayStorage(image);
  const durability = pick === 0 ? 'flush' : 'always';
  const writable = await openSubject(storage, subject, { writable: true, durability });
  await writeSomewhere(writable, content, new Random(mix(moment, pick)));
  const after = await faultAfterClose(storage, subject, content);
  return after === undefined ? undefined : `after opening it for writing, a write and a close: ${after}`;
}

/** Writes on the disk, and the same into `content`. */
async function writeSomewhere(disk: VhdDisk, content: Uint8Array, random: Random): Promise<void> {
  const position = random.below(disk.size);
  const source = bytesOf({ length: Math.min(5000, disk.size - position), fill: 99 });
  await disk.write(source, position);
  await disk.close();
  content.set(source, position);
}

async function faultAfterClose(
  { bytes }: ArrayStorage,
  subject: Subject,
  content: Uint8Array,
): Promise<string | undefined> {
  if (!endsInFooter(bytes)) return 'it does not end in a valid footer';
  const fault = structuralFault(bytes, subject.image);
  if (fault !== undefined) return fault;
  const disk = await openSubject(new ArrayStorage(bytes), subject);
  const findings = disk.findings.filter((item) => item.severity !== 'note');
  if (findings.length > 0) return findings.map((item) => item.rule).join(', ');
  const at = firstDifference(await disk.readBytes(0, disk.size), content);
  return at === -1 ? undefined : `byte ${at} is another one than before`;
}
