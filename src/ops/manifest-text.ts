/** What the text of manifests consists of. */
export interface ManifestParts {
  /** A line of anything else, without its end. */
  readonly line: (text: string, line: number) => void;
  /** Items of the list `blocks` of the object that is being read, some at a time. */
  readonly blocks: (items: readonly unknown[]) => void;
  /** An object of JSON, its list `blocks` being empty if its items were handed on. `line` is the one it begins in. */
  readonly object: (value: unknown, line: number) => void;
  /** Something that is none of these, in the object or line that begins in `line`; `found` says what, if known. To throw. */
  readonly fault: (line: number, found?: string) => never;
}

/** About as many characters of the list are parsed at once. */
const BATCH_CHARACTERS = 32 * 1024;
/** What else there is, a line too, is parsed in one go, and takes thirty times its size while it is. */
const MAX_CHARACTERS = 1024 * 1024;
const MAX_DEPTH = 8;
/** The end of what stands before the list. Within a text a quotation mark has a backslash before it. */
const BEFORE_LIST = /[{,]\s*"blocks"\s*:\s*$/;
const BEFORE_LIST_CHARACTERS = 64;

const [LINE_FEED, QUOTE, COMMA, BACKSLASH] = [0x0a, 0x22, 0x2c, 0x5c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Takes the text of manifests apart as it comes, so that it is never all in memory: a manifest may have 110 MB. Knows only
 * where texts, lists and objects begin and end; the pieces are parsed by `JSON.parse`.
 */
export class ManifestText {
  readonly #parts: ManifestParts;
  #state: 'between' | 'line' | 'object' | 'behind' = 'between';
  /** What is not handed on yet, up to `#from` in the text at hand. */
  #kept = '';
  /** The end of it: to look at it there would copy all of it, again with every piece. */
  #tail = '';
  #from = 0;
  #line = 1;
  /** Line feeds within the object. */
  #lines = 0;
  #depth = 0;
  #isInText = false;
  #isEscaped = false;
  /** The object up to its list, while in the list. */
  #beforeList: string | undefined;
  /** Commas between the keys of the object. */
  #commaCount = 0;
  /** Items of the list before a comma that are handed on. */
  #hasItems = false;

  constructor(parts: ManifestParts) {
    this.#parts = parts;
  }

  /** Takes more text. */
  push(text: string): void {
    this.#from = 0;
    for (let index = 0; index < text.length; index++) index = this.#take(text, index);
    if (this.#state === 'line' || this.#state === 'object') this.#keep(text, text.length);
  }

  /** There is no more. */
  end(): void {
    if (this.#state === 'line') this.#endLine();
    if (this.#state === 'object') this.#parts.fault(this.#line);
  }

  /** Takes the character at an index, and maybe more; returns the index of the last. */
  #take(text: string, index: number): number {
    const code = text.charCodeAt(index);
    if (this.#state === 'object') {
      this.#takeOfObject(text, index, code);
      return index;
    }
    if (this.#state === 'line') return this.#takeOfLine(text, index);
    if (code === LINE_FEED) {
      this.#state = 'between';
      this.#line++;
    } else if (/\S/.test(text.charAt(index))) this.#begin(text, index, code);
    return index;
  }

  #begin(text: string, index: number, code: number): void {
    if (this.#state === 'behind') this.#parts.fault(this.#line);
    this.#from = index;
    this.#kept = '';
    this.#tail = '';
    this.#state = code === OPEN_OBJECT ? 'object' : 'line';
    if (code === OPEN_OBJECT) this.#takeOfObject(text, index, code);
  }

  #takeOfLine(text: string, index: number): number {
    const end = text.indexOf('\n', index);
    if (end === -1) return text.length;
    this.#keep(text, end);
    this.#endLine();
    return end;
  }

  #endLine(): void {
    this.#parts.line(this.#kept.replace(/\r$/, ''), this.#line);
    this.#state = 'between';
    this.#line++;
  }

  #takeOfObject(text: string, index: number, code: number): void {
    if (this.#isInText) this.#takeOfText(code);
    else if (code === QUOTE) this.#isInText = true;
    else if (code === OPEN_LIST || code === OPEN_OBJECT) this.#open(text, index, code);
    else if (code === CLOSE_LIST || code === CLOSE_OBJECT) this.#close(text, index);
    else if (code === LINE_FEED) this.#lines++;
    else if (code === COMMA) this.#takeComma(text, index);
  }

  #takeOfText(code: number): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (code === BACKSLASH) this.#isEscaped = true;
    else if (code === QUOTE) this.#isInText = false;
  }

  #open(text: string, index: number, code: number): void {
    this.#depth++;
    if (this.#depth > MAX_DEPTH) this.#parts.fault(this.#line, `more than ${MAX_DEPTH} levels of lists and objects`);
    if (this.#depth !== 2 || code !== OPEN_LIST) return;
    const near = text.slice(Math.max(this.#from, index - BEFORE_LIST_CHARACTERS), index);
    if (!BEFORE_LIST.test(this.#tail + near)) return;
    this.#keep(text, index + 1);
    [this.#beforeList, this.#kept, this.#hasItems] = [this.#kept, '', false];
  }

  #close(text: string, index: number): void {
    this.#depth--;
    if (this.#depth === 1 && this.#beforeList !== undefined) {
      this.#keep(text, index);
      this.#handOnItems(this.#hasItems);
      this.#kept = this.#beforeList;
      this.#beforeList = undefined;
    } else if (this.#depth === 0) {
      this.#keep(text, index + 1);
      this.#endObject();
    }
  }

  #endObject(): void {
    const { value } = this.#parsed(this.#kept);
    // Of two values with one key JSON takes the last: rather none.
    const keyCount = Object.keys(value as object).length;
    if (this.#commaCount > 0 && keyCount <= this.#commaCount) this.#parts.fault(this.#line, 'a key twice');
    this.#parts.object(value, this.#line);
    this.#line += this.#lines;
    [this.#lines, this.#commaCount, this.#kept, this.#state] = [0, 0, '', 'behind'];
  }

  #takeComma(text: string, index: number): void {
    if (this.#depth === 1) this.#commaCount++;
    if (this.#depth !== 2 || this.#beforeList === undefined) return;
    if (this.#kept.length + index - this.#from < BATCH_CHARACTERS) return;
    this.#keep(text, index);
    this.#from++;
    this.#handOnItems(true);
    this.#hasItems = true;
  }

  #handOnItems(isOneNeeded: boolean): void {
    const { value: items } = this.#parsed(`[${this.#kept}]`);
    if (!Array.isArray(items) || (isOneNeeded && items.length === 0)) return this.#parts.fault(this.#line);
    this.#parts.blocks(items);
    this.#kept = '';
  }

  #keep(text: string, end: number): void {
    const more = text.slice(this.#from, end);
    this.#kept += more;
    if (this.#kept.length > MAX_CHARACTERS) this.#parts.fault(this.#line, 'more than 1 MiB that is no list of blocks');
    this.#tail = (this.#tail + more.slice(-BEFORE_LIST_CHARACTERS)).slice(-BEFORE_LIST_CHARACTERS);
    this.#from = end;
  }

  #parsed(text: string): { readonly value: unknown } {
    try {
      return { value: JSON.parse(text) };
    } catch (error) {
      if (error instanceof SyntaxError) return this.#parts.fault(this.#line);
      throw error;
    }
  }
}
