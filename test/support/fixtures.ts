// Good and broken images as files, with an index of what each is and what a reader has to do: for other projects as well.
import { createHash } from 'node:crypto';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RULES } from '../../src/format/rules.ts';
import { type Defect, defects } from './defects.ts';
import { BASE_NAMES, type BaseName } from './defects-bases.ts';
import { expectedOutcome, expectedWriting, soundImage } from './defects-open.ts';

/** A stretch of a disk. */
interface Range {
  readonly start: number;
  readonly length: number;
}

/** One image of the index. */
export interface Fixture {
  /** Path of the image from the index, with forward slashes. */
  readonly path: string;
  /** SHA-256 of the file. */
  readonly sha256: string;
  /** Path of its parent from the index; null if it has none, or none is there. */
  readonly parent: string | null;
  /** The sound image it is, or was made of: the folder in `good/`. */
  readonly base: BaseName;
  /** What is wrong with it, half a sentence; null if nothing is. */
  readonly defect: string | null;
  /** The rule of vhdkit that it breaks; null if none. */
  readonly rule: string | null;
  /** How much that matters: error, warning or note; null if nothing is wrong. */
  readonly severity: string | null;
  /** What a reader must do: give all bytes, refuse the image, or refuse the ranges of `unreadable` and give the others. */
  readonly reader: 'read' | 'refuse' | 'refuse-ranges';
  /** The code that vhdkit refuses with; null where it refuses nothing. */
  readonly code: string | null;
  /** What must not be given to anybody; empty unless `reader` is `refuse-ranges`. */
  readonly unreadable: readonly Range[];
  /** Virtual size in bytes; null where the image is to be refused. */
  readonly virtualSize: number | null;
  /** SHA-256 of the virtual disk, zeros in the place of `unreadable`; null where the image is to be refused. */
  readonly contentSha256: string | null;
  /** True if it must not be opened for writing. */
  readonly refuseWriting: boolean;
  /** What `vhd repair` does: all bytes as they were (`identical`), only if told how (`asks`), or nothing (`none`); null if nothing is wrong. */
  readonly repair: string | null;
}

/** The index of a folder of images. */
export interface FixtureIndex {
  readonly schema: 'vhdkit/fixtures/1';
  readonly images: readonly Fixture[];
}

/**
 * Writes all images and `index.json` into a folder that is not there yet, or empty. The same bytes every time.
 * @throws Error if something is in the folder
 */
export async function writeFixtures(folder: string): Promise<FixtureIndex> {
  await mkdir(folder, { recursive: true });
  if ((await readdir(folder)).length > 0) throw new Error(`expected an empty folder: ${folder}`);
  const images: Fixture[] = [];
  for (const name of BASE_NAMES) images.push(await writeFixture(folder, `good/${name}`, soundImage(name), false));
  for (const defect of defects) images.push(await writeFixture(folder, `broken/${defect.name}`, defect, true));
  const index: FixtureIndex = { schema: 'vhdkit/fixtures/1', images };
  await writeFile(join(folder, 'index.json'), `${JSON.stringify(index, undefined, 2)}\n`);
  return index;
}

async function writeFixture(folder: string, place: string, defect: Defect, isBroken: boolean): Promise<Fixture> {
  await mkdir(join(folder, place), { recursive: true });
  const image = defect.image();
  const path = `${place}/image.vhd`;
  await writeFile(join(folder, path), image);
  const parent = defect.parent();
  const parentPath =
    defect.sound.parent === undefined || parent === undefined ? null : `${place}/${defect.sound.parent.name}`;
  if (parentPath !== null) await writeFile(join(folder, parentPath), parent ?? new Uint8Array(0));
  const { severity = RULES[defect.rule].severity } = defect;
  return {
    ...{ path, sha256: digestOf(image), parent: parentPath, base: defect.base },
    ...(isBroken ? { defect: defect.what, rule: defect.rule, severity } : { defect: null, rule: null, severity: null }),
    ...readingOf(defect),
    refuseWriting: expectedWriting(defect) !== 'opens',
    repair: isBroken ? defect.repair : null,
  };
}

type Reading = Pick<Fixture, 'reader' | 'code' | 'unreadable' | 'virtualSize' | 'contentSha256'>;

function readingOf(defect: Defect): Reading {
  const { opening, unreadable } = expectedOutcome(defect);
  if (opening !== 'opens') {
    return { reader: 'refuse', code: opening, unreadable: [], virtualSize: null, contentSha256: null };
  }
  const content = Uint8Array.from(defect.expected());
  const { blockSize } = defect.sound;
  const ranges = (unreadable?.blocks ?? []).map((index) => {
    const start = index * blockSize;
    return { start, length: Math.min(blockSize, content.length - start) };
  });
  for (const { start, length } of ranges) content.fill(0, start, start + length);
  return {
    reader: unreadable === undefined ? 'read' : 'refuse-ranges',
    code: unreadable?.code ?? null,
    unreadable: ranges,
    virtualSize: content.length,
    contentSha256: digestOf(content),
  };
}

function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
