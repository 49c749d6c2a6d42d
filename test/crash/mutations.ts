// Orders of writing that lose something in a crash: what somebody might make of the sources in good faith.

/** A change of one place in the sources. */
export interface Mutation {
  readonly name: string;
  /** In src/disk. */
  readonly file: string;
  /** Stands there once. */
  readonly from: string;
  readonly to: string;
  /** A word in the names of the images that show it. Default: any. */
  readonly image?: string;
}

const WRITE_TABLE = '    await writeEach(storage, copies);\n';
const FIRST_BARRIER = '    await this.#barrier();\n    if (copies.length === 0) return;\n';
const SECOND_BARRIER = '    await this.#barrier();\n    growth?.space.release(freed);\n';

/** On a dynamic or a fixed image. */
const PLAIN: readonly Mutation[] = [
  {
    name: 'the table before the data',
    file: 'block-store.ts',
    from: FIRST_BARRIER + WRITE_TABLE,
    to: WRITE_TABLE + FIRST_BARRIER,
  },
  {
    name: 'no first barrier',
    file: 'block-store.ts',
    from: FIRST_BARRIER,
    to: '    if (copies.length === 0) return this.#barrier();\n',
  },
  {
    name: 'no second barrier',
    file: 'block-store.ts',
    from: SECOND_BARRIER,
    to: '    growth?.space.release(freed);\n',
  },
  {
    name: 'the live table instead of a copy',
    file: 'block-table.ts',
    from: '      runs.push({ position: this.#tableOffset + first * SECTOR_BYTES, bytes: this.#encode(first, to - from) });\n',
    to: `      const count = to - from;
      const encode = (): Uint8Array => this.#encode(first, count);
      runs.push({
        position: this.#tableOffset + first * SECTOR_BYTES,
        get bytes() {
          return encode();
        },
      });
`,
  },
  {
    name: 'freed space is reused at once',
    file: 'block-store.ts',
    from: 'growth?.space.quarantine(blockOffset)',
    to: 'growth?.space.release([blockOffset])',
  },
  {
    name: 'what is freed during a flush is reused after it',
    file: 'block-store.ts',
    from: SECOND_BARRIER,
    to: '    await this.#barrier();\n    growth?.space.release([...freed, ...growth.space.takeQuarantined()]);\n',
  },
  {
    name: 'freed space is reused before the second barrier',
    file: 'block-store.ts',
    from: SECOND_BARRIER,
    to: '    growth?.space.release(freed);\n    await this.#barrier();\n',
  },
  {
    name: 'reused space is not zeroed',
    file: 'space.ts',
    from: 'if (reused !== undefined) return { offset: reused, isVirgin: false };',
    to: 'if (reused !== undefined) return { offset: reused, isVirgin: true };',
  },
  {
    name: 'slack is taken for new space',
    file: 'space.ts',
    from: 'return { offset, isVirgin: offset >= this.#virginFrom };',
    to: 'return { offset, isVirgin: true };',
  },
  {
    name: 'growth by truncate, without a footer',
    file: 'image-end.ts',
    from: '      await this.#storage.write(this.#footer, footerOffset);\n    } catch',
    to: '      await this.#storage.truncate(footerOffset + FOOTER_BYTES);\n    } catch',
  },
  {
    name: 'the reserve is cut off before a footer stands in front of it',
    file: 'image-end.ts',
    from: '    await this.#storage.write(this.#footer, footerOffset);\n    await this.#storage.flush();\n    await this.#storage.truncate(footerOffset + FOOTER_BYTES);\n',
    to: '    await this.#storage.truncate(footerOffset);\n    await this.#storage.write(this.#footer, footerOffset);\n',
  },
  {
    name: 'bits are set along with the data',
    file: 'block-store.ts',
    from: '      await storage.write(this.#allOnes, blockOffset);\n      await this.#barrier();\n',
    to: '      await storage.write(this.#allOnes, blockOffset);\n',
  },
  {
    name: 'bits are set along with the zeros under them',
    file: 'block-store.ts',
    from: '        await this.#barrier();\n      }\n',
    to: '      }\n',
  },
  {
    name: 'a flush clears the mark of a write under way',
    file: 'block-store.ts',
    from: '    await this.#parts.storage.write(source, blockOffset + this.layout.bitmapBytes + offsetInBlock);\n    this.#isDataDirty = true;\n',
    to: '    await this.#parts.storage.write(source, blockOffset + this.layout.bitmapBytes + offsetInBlock);\n',
  },
  {
    name: 'the same on a fixed disk',
    file: 'flat.ts',
    from: '      await this.#storage.write(source, position);\n      this.#isDirty = true;\n',
    to: '      await this.#storage.write(source, position);\n',
  },
  {
    name: 'a flush does not send off what is gathered',
    file: 'write-back.ts',
    from: '      await this.#settleRange(0, this.size);\n      await this.#disk.flush();\n',
    to: '      await this.#disk.flush();\n',
  },
  {
    name: 'a flush does not wait for what it sends off',
    file: 'write-back.ts',
    from: '      await this.#settleRange(0, this.size);\n      await this.#disk.flush();\n',
    to: '      this.#sendOff();\n      await this.#disk.flush();\n',
  },
  {
    name: 'a large write drops what is gathered under it',
    file: 'write-back.ts',
    from: '      if (this.#filling?.overlaps(position, length) === true) this.#sendOff();\n      // Marked',
    to: '      if (this.#filling?.overlaps(position, length) === true) this.#filling.clear();\n      // Marked',
  },
  {
    name: 'a large write goes before what is gathered under it',
    file: 'write-back.ts',
    from: '      if (this.#filling?.overlaps(position, length) === true) this.#sendOff();\n      // Marked',
    to: '      // Marked',
  },
  {
    name: 'durability always does not flush',
    file: 'write-back.ts',
    from: '    if (this.#isAlways) await this.#flush();\n',
    to: '',
  },
];

/** On a child: its bitmaps, and what its parent has. */
const OF_CHILDREN: readonly Mutation[] = [
  {
    name: 'the bitmap of a child before the data',
    file: 'block-store.ts',
    from: '    this.#isDataDirty = false;\n    await this.#barrier();\n',
    to: '    this.#isDataDirty = false;\n    await writeEach(storage, copies.slice(copies.length - bitmaps.length));\n    await this.#barrier();\n',
  },
  {
    name: 'the live bitmap instead of a copy',
    file: 'block-bitmaps.ts',
    from: 'bytes: bitmap.slice() });',
    to: 'bytes: bitmap });',
  },
  {
    name: 'bits are claimed before their data is written',
    file: 'block-store.ts',
    from: '      await sendWrites(storage, writes);\n    } catch',
    to: `      if (this.isExact) {
        for (const piece of pieces) {
          if (!newBlocks.has(piece.blockIndex)) this.#bitmaps.claim(piece.blockIndex, ...sectorsOf(piece));
        }
      }
      await sendWrites(storage, writes);
    } catch`,
  },
  {
    name: 'every bit of a new block is set',
    file: 'block-store.ts',
    from: '    for (const piece of pieces) setSectors(bitmap, ...sectorsOf(piece));\n',
    to: '    bitmap.fill(0xff);\n',
  },
  {
    name: 'a write sets the bits of all of its block',
    file: 'block-store.ts',
    from: 'this.#bitmaps.claim(piece.blockIndex, ...sectorsOf(piece));',
    to: 'this.#bitmaps.claim(piece.blockIndex, 0, this.layout.blockSize / SECTOR_BYTES);',
  },
  {
    name: 'a discard frees a block over what the parent has',
    file: 'differencing.ts',
    from: 'if (isNothingBelow && piece.length === dataBytes)',
    to: 'if (piece.length === dataBytes)',
  },
  {
    name: 'a discard leaves out a block that is not there',
    file: 'differencing.ts',
    from: 'if (isNothingBelow && !isAllocated) return;',
    to: 'if (!isAllocated) return;',
  },
  {
    name: 'zeros over what the parent has are left out',
    file: 'block-writer.ts',
    from: 'return this.#rule !== undefined && isAllZeros(bytes);',
    to: 'return isAllZeros(bytes);',
  },
  {
    name: 'a discard looks at the parent before it takes its turn',
    file: 'differencing.ts',
    from: '    await this.locks.runEach([range], true, () => this.#discardLocked(',
    to: '    await this.#below.isZero(position, position + length);\n    await this.locks.runEach([range], true, () => this.#discardLocked(',
  },
  {
    name: 'a part of a sector is completed with zeros',
    file: 'differencing.ts',
    from: 'this.#reader.read(bytes.subarray(0, Math.min(SECTOR_BYTES, this.size - position)), position),',
    to: 'Promise.resolve(void bytes.fill(0, 0, Math.min(SECTOR_BYTES, this.size - position))),',
  },
  {
    name: 'a part of a sector is completed with what the parent has',
    file: 'differencing.ts',
    from: 'this.#reader.read(bytes.subarray(0, Math.min(SECTOR_BYTES, this.size - position)), position),',
    to: 'this.#below.read(bytes.subarray(0, Math.min(SECTOR_BYTES, this.size - position)), position),',
  },
  {
    name: 'parts of one sector are written side by side',
    file: 'differencing.ts',
    from: '    const start = position - (position % SECTOR_BYTES);\n    const end = alignUp(position + bytes.length, SECTOR_BYTES);\n',
    to: '    const start = position;\n    const end = position + bytes.length;\n',
  },
  {
    name: 'the old bitmap of reused space is believed',
    file: 'block-writes.ts',
    from: '[{ position: place.offset, bytes: bitmap }];',
    to: 'place.isVirgin ? [{ position: place.offset, bytes: bitmap }] : [];',
  },
  {
    name: 'the bitmap of a freed block is not forgotten',
    file: 'block-store.ts',
    from: '    this.#bitmaps.forget(blockIndex);\n',
    to: '',
  },
].map((mutation) => ({ ...mutation, image: 'child' }));

/** All of them; each must be found. */
export const MUTATIONS: readonly Mutation[] = [...PLAIN, ...OF_CHILDREN];
