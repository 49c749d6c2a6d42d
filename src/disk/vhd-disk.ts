import { checkRange } from '../errors.ts';
import type { DynamicHeader } from '../format/dynamic-header.ts';
import type { Footer } from '../format/footer.ts';
import type { Finding } from '../format/rules.ts';
import type { VhdType } from '../format/spec.ts';
import type { Storage } from '../storage/storage.ts';
import type { Disk, Extent, ExtentOptions } from './disk.ts';

/** What an image says about itself; fixed when it was opened. */
export interface VhdDescription {
  /** Type of the image. */
  readonly type: VhdType;
  /** The footer that counts. */
  readonly footer: Footer;
  /** The dynamic header; undefined in fixed images. */
  readonly header: DynamicHeader | undefined;
  /** What is odd about the image, though it can be opened. */
  readonly findings: readonly Finding[];
  /** Bytes of the file when it was opened. */
  readonly fileSize: number;
}

/** What is known of the blocks of an image. */
export interface BlockFacts {
  /** Blocks that have a place in the file. */
  readonly allocatedBlockCount: number;
  /** Largest power of two, up to 1 MiB, that the data of every block lies on; undefined without blocks. */
  readonly dataAlignment: number | undefined;
}

/** An open VHD: a {@link Disk} that also tells what kind of image it is. */
export class VhdDisk implements Disk, VhdDescription {
  readonly type: VhdType;
  readonly footer: Footer;
  readonly header: DynamicHeader | undefined;
  readonly fileSize: number;
  /** Name of the file, for messages. */
  readonly name: string;
  /** What a differencing image is a child of, which is closed along with it; undefined for the others. */
  readonly parent: Disk | undefined;
  readonly #disk: Disk;
  readonly #blocks: BlockFacts | undefined;
  #findings: readonly Finding[];

  /** Made by `openVhd`, `openVhdStorage`, `createVhd` and `createVhdStorage`. */
  constructor(description: VhdDescription & { readonly name: string }, disk: Disk, blocks?: BlockFacts, parent?: Disk) {
    this.type = description.type;
    this.footer = description.footer;
    this.header = description.header;
    this.#findings = description.findings;
    this.fileSize = description.fileSize;
    this.name = description.name;
    this.#disk = disk;
    this.#blocks = blocks;
    this.parent = parent;
  }

  get size(): number {
    return this.#disk.size;
  }

  get findings(): readonly Finding[] {
    return this.#findings;
  }

  /** Adds what whoever opened it knows besides, such as how it fits its parent. */
  addFindings(findings: readonly Finding[]): void {
    this.#findings = [...this.#findings, ...findings];
  }

  get readOnly(): boolean {
    return this.#disk.readOnly;
  }

  /** Bytes of a block of a dynamic image; undefined in fixed ones. */
  get blockSize(): number | undefined {
    return this.header?.blockSize;
  }

  /** Blocks that have a place in the file; undefined in fixed images. */
  get allocatedBlockCount(): number | undefined {
    return this.#blocks?.allocatedBlockCount;
  }

  /** Largest power of two, up to 1 MiB, that the data of every block lies on; undefined without blocks. */
  get dataAlignment(): number | undefined {
    return this.#blocks?.dataAlignment;
  }

  /** Bytes of the virtual disk that have a place in the file; what is still gathered gets one when it leaves. */
  get allocatedBytes(): number {
    if (this.#blocks === undefined || this.blockSize === undefined) return this.size;
    return Math.min(this.size, this.#blocks.allocatedBlockCount * this.blockSize);
  }

  read(target: Uint8Array, position: number): Promise<void> {
    return this.#disk.read(target, position);
  }

  /** Reads `length` bytes from `position` on into a new array. */
  async readBytes(position: number, length: number): Promise<Uint8Array> {
    checkRange('readBytes', position, length, this.size);
    const bytes = new Uint8Array(length);
    await this.#disk.read(bytes, position);
    return bytes;
  }

  write(source: Uint8Array, position: number): Promise<void> {
    return this.#disk.write(source, position);
  }

  discard(position: number, length: number): Promise<void> {
    return this.#disk.discard(position, length);
  }

  extents(options?: ExtentOptions): AsyncIterable<Extent> {
    return this.#disk.extents(options);
  }

  async cloneTo(target: Storage): Promise<boolean> {
    return (await this.#disk.cloneTo?.(target)) === true;
  }

  flush(): Promise<void> {
    return this.#disk.flush();
  }

  close(): Promise<void> {
    return this.#disk.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
