// Images with one defect each: what the defect is, and what a reader has to make of it. Data, for tests of every verb that
// meets damaged images, and for `npm run fixtures`.
import type { VhdErrorCode } from '../../src/errors.ts';
import type { Severity } from '../../src/format/rule.ts';
import type { RuleId } from '../../src/format/rules.ts';
import { type Base, type BaseName, baseOf } from './defects-bases.ts';
import { blockDefects } from './defects-blocks.ts';
import { fileDefects } from './defects-file.ts';
import { footerDefects } from './defects-footer.ts';
import { headerDefects } from './defects-header.ts';
import { parentDefects } from './defects-parent.ts';
import { partitionDefects } from './defects-partitions.ts';

/** What opening comes to: the disk opens, or it is refused with a code. */
export type Opening = 'opens' | VhdErrorCode;

/** Blocks that cannot be read, of an image that opens; every other byte reads as it should. */
export interface Unreadable {
  /** What reading them rejects with. */
  readonly code: VhdErrorCode;
  /** Their indexes. */
  readonly blocks: readonly number[];
}

/**
 * What `vhd repair` does: mends it, so that every byte reads as it should; has to be asked with an option, because something
 * is lost or has to be decided; or nothing.
 */
export type Repair = 'identical' | 'asks' | 'none';

/** What is done to a base. */
export interface DefectSpec {
  /** Words of small letters and digits with hyphens: the name of a file. */
  readonly name: string;
  /** The sound image it is put into. */
  readonly base: BaseName;
  /** What was done, half a sentence. */
  readonly what: string;
  /** The one change. Default: none, the defect is in the parent. */
  readonly apply?: (image: Uint8Array) => Uint8Array;
  /** The change to the parent; undefined takes it away. Default: none. */
  readonly applyToParent?: (parent: Uint8Array) => Uint8Array | undefined;
  /** The rule of the first finding of `check`. */
  readonly rule: RuleId;
  /** Its severity. Default: that of the rule. */
  readonly severity?: Severity;
  /** Rules that are broken along with it, and may be errors. */
  readonly related?: readonly RuleId[];
  /** True if only a deep check finds it. */
  readonly deep?: boolean;
  /** Opening for reading. Default: it opens. */
  readonly reading?: Opening;
  /** What cannot be read though it opens. Default: everything can. */
  readonly unreadable?: Unreadable;
  /** Opening for writing. Default: as for reading. */
  readonly writing?: Opening;
  /** What it holds, made of what the base holds. Default: the same. */
  readonly content?: (content: Uint8Array) => Uint8Array;
  /** What it holds after a repair, where that is not what it holds before. */
  readonly repairedContent?: (content: Uint8Array) => Uint8Array;
  /** Decoding it as a stream. Default: as reading, where nobody has to seek. */
  readonly stream?: Opening;
  /** Opening it with the right parent given, whatever its names say. Default: as for reading. */
  readonly givenParent?: Opening;
  /** What `vhd repair` does. */
  readonly repair: Repair;
}

/** A defect with what it makes of its base. */
export interface Defect extends DefectSpec {
  /** The sound image. */
  readonly sound: Base;
  /** Makes the damaged image. */
  readonly image: () => Uint8Array;
  /** The parent beside it; undefined if there is none, or none any more. */
  readonly parent: () => Uint8Array | undefined;
  /** What its virtual disk holds; of unreadable blocks what the base holds. */
  readonly expected: () => Uint8Array;
  /** What it holds after `vhd repair`, where that makes it identical. */
  readonly repaired: () => Uint8Array;
}

function complete(spec: DefectSpec): Defect {
  const sound = baseOf(spec.base);
  const expected = (): Uint8Array => spec.content?.(sound.content) ?? sound.content;
  return {
    ...spec,
    sound,
    image: () => spec.apply?.(sound.image) ?? sound.image,
    parent: () => {
      if (sound.parent === undefined) return undefined;
      return spec.applyToParent === undefined ? sound.parent.image : spec.applyToParent(sound.parent.image);
    },
    expected,
    repaired: () => spec.repairedContent?.(sound.content) ?? expected(),
  };
}

/** All of them. */
export const defects: readonly Defect[] = [
  ...fileDefects,
  ...footerDefects,
  ...headerDefects,
  ...blockDefects,
  ...parentDefects,
  ...partitionDefects,
].map(complete);
