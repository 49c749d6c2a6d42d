// Values of the format's structures for property tests.
import fc from 'fast-check';
import { NO_OFFSET } from '../../../src/format/bytes.ts';
import type { DynamicHeader } from '../../../src/format/dynamic-header.ts';
import type { Footer } from '../../../src/format/footer.ts';
import type { ParentLocator } from '../../../src/format/parent-locator.ts';

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u53 = fc.maxSafeNat();
const offset = fc.oneof(u53, fc.constant(NO_OFFSET));
const latin1 = fc.array(u8, { minLength: 4, maxLength: 4 }).map((codes) => String.fromCharCode(...codes));

/** Byte arrays of one length, often mostly alike. */
export function bytesOf(length: number): fc.Arbitrary<Uint8Array> {
  return fc.oneof(
    fc.uint8Array({ minLength: length, maxLength: length }),
    u8.map((byte) => new Uint8Array(length).fill(byte)),
  );
}

export const footers: fc.Arbitrary<Footer> = fc.record({
  features: u32,
  formatVersion: u32,
  dataOffset: offset,
  timestamp: u32,
  creatorApplication: latin1,
  creatorVersion: u32,
  creatorHostOs: latin1,
  originalSize: u53,
  currentSize: u53,
  geometry: fc.record({ cylinders: u16, heads: u8, sectorsPerTrack: u8 }),
  diskType: u32,
  uniqueId: bytesOf(16),
  savedState: u8,
  reserved: bytesOf(427),
});

export const locators: fc.Arbitrary<ParentLocator> = fc.record({
  platformCode: fc.oneof(latin1, fc.constantFrom('W2ru', 'W2ku', 'MacX', '\0\0\0\0')),
  dataSpace: u32,
  dataByteLength: u32,
  dataOffset: u53,
});

export const headers: fc.Arbitrary<DynamicHeader> = fc.record({
  dataOffset: offset,
  tableOffset: u53,
  headerVersion: u32,
  maxTableEntries: u32,
  blockSize: u32,
  parentUniqueId: bytesOf(16),
  parentTimestamp: u32,
  parentNameBytes: bytesOf(512),
  parentLocators: fc.array(locators, { minLength: 8, maxLength: 8 }),
});
