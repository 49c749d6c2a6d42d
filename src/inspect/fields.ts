import { readLatin1, viewOf } from '../format/bytes.ts';
import { formatUuid, formatUuidMixedEndian } from '../format/uuid.ts';

/** The numbers and texts in a structure on a disk; little-endian unless said otherwise. Offsets must lie inside it. */
export class Fields {
  /** Bytes of the structure. */
  readonly byteLength: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #isLittle: boolean;

  /** Looks at `bytes`, without a copy. */
  constructor(bytes: Uint8Array, order: 'little' | 'big' = 'little') {
    this.byteLength = bytes.length;
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#isLittle = order === 'little';
  }

  /** 8 bits. */
  u8(offset: number): number {
    return this.#view.getUint8(offset);
  }

  /** 16 bits. */
  u16(offset: number): number {
    return this.#view.getUint16(offset, this.#isLittle);
  }

  /** 32 bits. */
  u32(offset: number): number {
    return this.#view.getUint32(offset, this.#isLittle);
  }

  /** 64 bits; `Infinity` above 2^53 - 1, where a number would round: such a value lies past the end of everything. */
  u64(offset: number): number {
    const value = this.bigU64(offset);
    return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.POSITIVE_INFINITY : Number(value);
  }

  /** 64 bits, exactly. */
  bigU64(offset: number): bigint {
    return this.#view.getBigUint64(offset, this.#isLittle);
  }

  /** Some of its bytes, without a copy. */
  bytes(offset: number, length: number): Uint8Array {
    return this.#bytes.subarray(offset, offset + length);
  }

  /** One character a byte. */
  latin1(offset: number, length: number): string {
    return readLatin1(this.#bytes, offset, length);
  }

  /** True if the bytes at `offset` are these characters. */
  has(offset: number, magic: string): boolean {
    return offset + magic.length <= this.byteLength && this.latin1(offset, magic.length) === magic;
  }

  /** UTF-8 up to the first NUL, trailing blanks cut; null if nothing is left. What is no UTF-8 becomes U+FFFD. */
  utf8(offset: number, length: number): string | null {
    const bytes = this.bytes(offset, length);
    const end = bytes.indexOf(0);
    return textOrNull(new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end)));
  }

  /** UTF-16 of at most `length` bytes up to the first NUL, trailing blanks cut; null if nothing is left. */
  utf16(offset: number, length: number): string | null {
    let text = '';
    for (let at = offset; at + 2 <= offset + length; at += 2) {
      const unit = this.u16(at);
      if (unit === 0) break;
      text += String.fromCharCode(unit);
    }
    return textOrNull(text);
  }

  /** 16 bytes as a UUID, in the order of the bytes; null if they are all zero. */
  uuid(offset: number): string | null {
    const bytes = this.bytes(offset, 16);
    return bytes.every((byte) => byte === 0) ? null : formatUuid(bytes);
  }

  /** 16 bytes as a GUID: the first three groups little-endian, in upper case. */
  guid(offset: number): string {
    return formatUuidMixedEndian(this.bytes(offset, 16)).toUpperCase();
  }
}

/** A text without its trailing blanks; null if nothing is left of it. */
export function textOrNull(text: string): string | null {
  const trimmed = text.replace(/[ \t\r\n]+$/, '');
  return trimmed === '' ? null : trimmed;
}
