import type { DynamicHeader } from './dynamic-header.ts';
import type { Footer } from './footer.ts';
import type { Rule } from './rule.ts';
import type { VhdType } from './spec.ts';

/** The programs whose verdict on an image is told beforehand. */
export const READERS = ['azure', 'hyperv', 'xenserver', 'virtualbox', 'qemu', '7zip', 'libvhdi'] as const;
/** One of them. */
export type ReaderName = (typeof READERS)[number];

/** What stands where a program looks for a footer. */
export interface FooterFacts {
  /** Byte offset in the file. */
  readonly offset: number;
  /** Whether it begins with the cookie. */
  readonly hasCookie: boolean;
  /** Whether its checksum is that of its 512 bytes, whoever else may forgive what. */
  readonly isChecksumRight: boolean;
  /** Its fields. */
  readonly value: Footer;
}

/** The table of an image, as programs see it that read all of it. */
export interface TableFacts {
  /** Byte offset behind the table as the header tells its length. */
  readonly tableEnd: number;
  /** Byte offset behind the last block that any entry names, bitmap and whole block; 0 without blocks. */
  readonly blocksEnd: number;
  /** Whether blocks of a differencing image have bitmaps that are neither full nor empty. */
  readonly hasMixedBitmaps: boolean;
}

/** The parent of a differencing image. */
export interface ParentFacts {
  /** Its type; `raw` for the bytes of a disk; undefined if it was not found, or cannot be opened. */
  readonly type: VhdType | 'raw' | undefined;
  /** Its virtual size in bytes; undefined if it was not found. */
  readonly virtualSize: number | undefined;
  /** Whether it lies in the directory of the child. */
  readonly isBeside: boolean;
  /** Its file name; undefined if it was not found. */
  readonly fileName: string | undefined;
  /** Whether it has the identifier of the child. */
  readonly hasSameUuid: boolean;
  /** The relative name (W2ru) in the child, as it is written; undefined if there is none. */
  readonly relativeName: string | undefined;
  /** The absolute name (W2ku) in the child; undefined if there is none. */
  readonly absoluteName: string | undefined;
  /** The name in the header of the child. */
  readonly headerName: string;
}

/** Everything about an image that decides what other programs make of it. */
export interface ReaderFacts {
  /** Bytes of the file. */
  readonly fileSize: number;
  /** Whether its system stores the file with holes. */
  readonly isSparseFile: boolean;
  /** Type of the image. */
  readonly type: VhdType;
  /** Virtual size in bytes, the one that is right. */
  readonly virtualSize: number;
  /** The footer that counts. */
  readonly footer: Footer;
  /** Byte offset of the footer that ends the image; undefined if there is none. */
  readonly footerOffset: number | undefined;
  /** The first 512 bytes of the file. */
  readonly start: FooterFacts;
  /** The last 512 bytes of the file. */
  readonly end: FooterFacts;
  /** Whether both are the same. */
  readonly areEndsEqual: boolean;
  /** The dynamic header; undefined in fixed images. */
  readonly header: DynamicHeader | undefined;
  /** The table; undefined in fixed images. */
  readonly table: TableFacts | undefined;
  /** The parent; undefined in images that are not differencing. */
  readonly parent: ParentFacts | undefined;
  /** Ids of the rules that the image itself breaks. */
  readonly broken: ReadonlySet<string>;
  /** The time, in milliseconds since 1970. */
  readonly nowMilliseconds: number;
}

/** Where and what: the parts of a finding that a rule about a program tells. */
export interface ReaderMatch {
  /** Byte offset in the file. */
  readonly offset?: number;
  /** What the program wants. */
  readonly expected?: string;
  /** What it finds. */
  readonly found?: string;
  /** The command that mends it, where it is another than that of the rule. */
  readonly mend?: string;
}

/** A rule about what a program makes of an image: broken where `when` says so. */
export interface ReaderRule extends Rule {
  /** Looks at an image; true, or where and what, if the program refuses it, misreads it or complains. */
  readonly when: (facts: ReaderFacts) => ReaderMatch | boolean;
}
