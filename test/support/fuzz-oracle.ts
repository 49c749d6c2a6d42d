// What must hold whatever the bytes are.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Disk } from '../../src/disk/disk.ts';
import { VhdError } from '../../src/errors.ts';
import { type Finding, RULES } from '../../src/format/rules.ts';
import { firstDifference } from './bytes.ts';
import type { Random } from './seed.ts';

const errorsText = readFileSync(fileURLToPath(new URL('../../src/errors.ts', import.meta.url)), 'utf8');
/** Every code that is documented. */
const CODES: ReadonlySet<string> = new Set(errorsText.match(/ERR_VHD_[A-Z_]+/g));
/** Control characters, and what a terminal may take for them; a line end is no part of a sentence either. */
const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}]/u;
const PIECES = 6;
const MAX_PIECE = 24 * 1024;
const MAX_EXTENTS = 3000;
/** How much of a disk is mapped: what lies under clear bits is read for that. */
export const LOOKED_BYTES: number = 4 * 1024 * 1024;

/** Something that must not happen. */
export class Violation extends Error {}

/** Requires something. */
export function must(isSo: boolean, sentence: string): asserts isSo {
  if (!isSo) throw new Violation(sentence);
}

/** Runs something; what it rejects with must be an error of the format, documented, in one plain sentence. Undefined then. */
export async function orRefused<T>(job: () => Promise<T>): Promise<T | undefined> {
  try {
    return await job();
  } catch (error) {
    checkError(error);
    return undefined;
  }
}

/** An error must be one of the format: anything else is thrown again. */
export function checkError(error: unknown): void {
  if (!(error instanceof VhdError)) throw error;
  must(CODES.has(error.code), `an undocumented code ${error.code}`);
  const texts = [error.message, error.expected, error.found, error.remedy];
  must(
    !texts.some((text) => text !== undefined && CONTROLS.test(text)),
    `control characters: ${JSON.stringify(texts)}`,
  );
}

/** Findings must be of rules that there are, in plain sentences. */
export function checkFindings(findings: readonly Finding[]): void {
  for (const { rule, message, expected = '', found = '', offset = 0, remedy = '' } of findings) {
    must(rule in RULES, `an unknown rule ${rule}`);
    must(Number.isSafeInteger(offset), `${rule} at ${offset}`);
    const texts = [message, expected, found, remedy];
    must(!texts.some((text) => CONTROLS.test(text)), `control characters in ${rule}: ${JSON.stringify(texts)}`);
  }
}

/** A stretch of a disk, and what reading it gave; undefined if it was refused. */
export interface Sample {
  readonly position: number;
  readonly length: number;
  readonly bytes: Uint8Array | undefined;
}

/** Reads a few stretches: both ends, and others. Every byte asked for must be filled. */
export async function sampleDisk(disk: Disk, random: Random): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let piece = 0; piece < PIECES; piece++) {
    const length = Math.min(disk.size, 1 + random.below(MAX_PIECE));
    const room = disk.size - length;
    const near = random.below(Math.min(room, 0xffff_ffff) + 1);
    const position =
      piece === 0 ? 0 : piece === 1 ? room : random.oneIn(2) ? near : Math.floor((room * random.below(1000)) / 1000);
    samples.push({ position, length, bytes: await readFilled(disk, position, length) });
  }
  return samples;
}

/** Reads twice over different bytes: what is not written by the reading shows. */
export async function readFilled(disk: Disk, position: number, length: number): Promise<Uint8Array | undefined> {
  const [first, second] = [new Uint8Array(length).fill(0xee), new Uint8Array(length).fill(0x11)];
  const isRead = await orRefused(async () => {
    await disk.read(first, position);
    return true;
  });
  const isReadAgain = await orRefused(async () => {
    await disk.read(second, position);
    return true;
  });
  must(isRead === isReadAgain, 'reading again comes to something else');
  if (isRead === undefined) return undefined;
  const at = firstDifference(first, second);
  must(at === -1, `byte ${position + at} was not filled`);
  return first;
}

/** What could be read before must read the same. */
export async function checkSamples(disk: Disk, samples: readonly Sample[], sentence: string): Promise<void> {
  for (const { position, length, bytes } of samples) {
    if (bytes === undefined) continue;
    const found = await readFilled(disk, position, length);
    must(found !== undefined && firstDifference(found, bytes) === -1, `${sentence}: ${length} bytes at ${position}`);
  }
}

/** The extents must be adjacent and cover the front of the disk; what is zero must read as zeros. */
export async function checkExtents(disk: Disk): Promise<void> {
  const looked = Math.min(disk.size, LOOKED_BYTES);
  let [end, count, isWhole] = [0, 0, true];
  await orRefused(async () => {
    isWhole = false;
    for await (const { start, length, kind } of disk.extents({ length: looked })) {
      must(start === end && length > 0, `an extent from ${start} of ${length} bytes behind ${end}`);
      end = start + length;
      if (kind === 'zero' && count < 8) await checkZeros(disk, start, Math.min(length, 4096));
      if (++count >= MAX_EXTENTS) return;
    }
    isWhole = true;
  });
  must(!isWhole || end === looked, `extents up to ${end} of ${looked}`);
}

async function checkZeros(disk: Disk, position: number, length: number): Promise<void> {
  const bytes = await readFilled(disk, position, length);
  must(bytes?.every((byte) => byte === 0) !== false, `other bytes than zeros at ${position}, where none are stored`);
}
