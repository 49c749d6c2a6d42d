/** Text is handed on in pieces of about this many characters. */
const PIECE_CHARACTERS = 64 * 1024;

/** Gathers small pieces of text and writes large ones. */
export class TextWriter {
  readonly #write: (text: string) => Promise<void>;
  #pending = '';

  constructor(write: (text: string) => Promise<void>) {
    this.#write = write;
  }

  async add(text: string): Promise<void> {
    this.#pending += text;
    if (this.#pending.length >= PIECE_CHARACTERS) await this.flush();
  }

  async flush(): Promise<void> {
    const text = this.#pending;
    this.#pending = '';
    if (text !== '') await this.#write(text);
  }
}

/** What surrounds a list in an object of JSON. */
interface ListingShape {
  /** The verb, for the schema. */
  readonly verb: string;
  /** Name of the list. */
  readonly list: string;
  /** The fields before it. */
  readonly head: object;
  /** All of it on one line. Default: an item a line. */
  readonly isOneLine?: boolean;
}

/** A list in an object of JSON, written while it is made: the largest disks have a million items. */
export class JsonListing<T> {
  readonly #writer: TextWriter;
  readonly #indent: number | undefined;
  readonly #gap: string;
  readonly #opening: string;
  readonly #list: string;
  #count = 0;

  constructor({ verb, list, head, isOneLine = false }: ListingShape, write: (text: string) => Promise<void>) {
    this.#writer = new TextWriter(write);
    this.#indent = isOneLine ? undefined : 2;
    this.#gap = isOneLine ? '' : '\n  ';
    this.#list = isOneLine ? `"${list}":[` : `"${list}": [`;
    const object = JSON.stringify({ schema: `vhdkit/${verb}/1`, ...head }, undefined, this.#indent);
    this.#opening = object.replace(/\n?\}$/, '');
  }

  /** Adds an item; resolves when there is room for the next. */
  async add(item: T): Promise<void> {
    const before = this.#count === 0 ? `${this.#opening},${this.#gap}${this.#list}` : ',';
    this.#count++;
    await this.#writer.add(`${before}${this.#gap === '' ? '' : `${this.#gap}  `}${JSON.stringify(item)}`);
  }

  /** Ends the list, and the object with the fields known by now. */
  async finish(tail: object): Promise<void> {
    const before = this.#count === 0 ? `${this.#opening},${this.#gap}${this.#list}` : this.#gap;
    const rest = JSON.stringify(tail, undefined, this.#indent).replace(/^\{/, '');
    await this.#writer.add(`${before}],${rest}\n`);
    await this.#writer.flush();
  }

  /** Ends the line where the object stays without its end. */
  async abandon(): Promise<void> {
    if (this.#count === 0) return;
    await this.#writer.add('\n');
    await this.#writer.flush();
  }
}
