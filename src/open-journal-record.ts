import { createHash } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import {
  JOURNAL_VERBS,
  type Journal,
  type JournalCut,
  type JournalLink,
  type JournalVerb,
  type JournalWrite,
} from './open-journal.ts';

const SCHEMA = 'vhdkit/journal/1';
const MAX_WRITES = 65_536;
/** What bytes begin with that are packed: raw DEFLATE in base64. Longer ones than those of a sector or two are. */
const PACKED = 'deflate:';
const SHORT_BYTES = 1024;
/** Bytes that a journal may hold when it is unpacked: those of a draft, before and after, and what was cut. */
const MAX_UNPACKED_BYTES = 68 * 1024 * 1024;
const MAX_TEXT = 32_768;
const MAX_DETAILS = 64;
/** Links of a chain, and directories. */
const MAX_ITEMS = 65_536;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$/;
const PATH = /^[^\0]+$/;
const NAME = /^[a-z][A-Za-z0-9]{0,63}$/;
/** Fields that are no details. */
const FIELDS: readonly string[] = [
  ...['schema', 'verb', 'uuid', 'startedAt', 'fileSize', 'fileSizeAfter', 'uuidAfter', 'childUuid'],
  ...['childPath', 'writes', 'cut'],
  ...['links', 'parentDirs'],
];

/** A third line, which is blank until the change is done: so that it can be noted where a full disk takes nothing more. */
const NOTE_BYTES = 48;
const NOTE = /^\{"writtenAt":"(\d{1,24})"\} *$/;

/** That line: when the image was written last, in nanoseconds, by which `undo` tells that nobody wrote to it since. */
export function journalNote(writtenAt?: bigint): Uint8Array {
  const text = writtenAt === undefined ? '' : JSON.stringify({ writtenAt: `${writtenAt}` });
  return Buffer.from(`${text.padEnd(NOTE_BYTES - 1)}\n`);
}

/** Byte offset at which a journal has room for its note; undefined if it has none, as those of earlier versions. */
export function journalNoteOffset(bytes: Uint8Array): number | undefined {
  const offset = bytes.length - NOTE_BYTES;
  const line = new TextDecoder().decode(bytes.subarray(Math.max(0, offset)));
  return /^(?:\{"writtenAt":"\d+"\})? *\n$/.test(line) ? offset : undefined;
}

/** A journal as a file: a line of JSON, a line with the SHA-256 of that, and room for a note. */
export function encodeJournal(journal: Journal): Uint8Array {
  const { details = {}, writes, cut, ...fields } = journal;
  const told = writes.map(({ offset, before, after }) => ({ offset, before: textFor(before), after: textFor(after) }));
  const line = JSON.stringify({ schema: SCHEMA, ...fields, ...details, writes: told, ...encodedCut(cut) });
  return Buffer.concat([Buffer.from(`${line}\n${JSON.stringify({ sha256: digestOf(line) })}\n`), journalNote()]);
}

function encodedCut(cut: readonly JournalCut[] | undefined): object {
  return cut === undefined ? {} : { cut: cut.map(({ offset, before }) => ({ offset, before: textFor(before) })) };
}

/** What a file says that should be a journal, or what is wrong with it. */
export type DecodedJournal =
  | { readonly journal: Journal; readonly problem?: undefined }
  | { readonly journal: undefined; readonly problem: string };

/** Reads a journal back. Never throws on content: it tells what is wrong with it. */
export function decodeJournal(bytes: Uint8Array): DecodedJournal {
  try {
    return { journal: parse(bytes) };
  } catch (error) {
    return { journal: undefined, problem: error instanceof Problem ? error.message : 'it is no JSON' };
  }
}

class Problem extends Error {}

function parse(bytes: Uint8Array): Journal {
  const { line, note } = sealedLine(bytes);
  const fields = objectOf(JSON.parse(line), 'the first line');
  const room: Room = { byteLength: MAX_UNPACKED_BYTES };
  if (fields['schema'] !== SCHEMA) throw new Problem(`expected schema ${SCHEMA}`);
  const journal: Journal = {
    verb: verbOf(fields['verb']),
    uuid: textOf(fields, 'uuid', UUID),
    startedAt: textOf(fields, 'startedAt', TIME),
    fileSize: countOf(fields['fileSize'], 'fileSize'),
    fileSizeAfter: countOf(fields['fileSizeAfter'], 'fileSizeAfter'),
    ...(fields['uuidAfter'] === undefined ? {} : { uuidAfter: textOf(fields, 'uuidAfter', UUID) }),
    ...(fields['childUuid'] === undefined ? {} : { childUuid: textOf(fields, 'childUuid', UUID) }),
    ...(fields['childPath'] === undefined ? {} : { childPath: textOf(fields, 'childPath', PATH) }),
    ...(fields['links'] === undefined ? {} : { links: listOf(fields, 'links', linkOf) }),
    ...(fields['parentDirs'] === undefined ? {} : { parentDirs: listOf(fields, 'parentDirs', pathOf) }),
    details: { ...detailsOf(fields), ...notedIn(note) },
    writes: writesOf(fields['writes'], room),
    ...(fields['cut'] === undefined ? {} : { cut: cutOf(fields['cut'], room) }),
  };
  checkPlaces(journal);
  return journal;
}

/** The first line, if its checksum fits, and the note. */
function sealedLine(bytes: Uint8Array): { readonly line: string; readonly note: string } {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  const [line = '', seal = '', note = ''] = text.split('\n', 3);
  const { sha256 } = objectOf(JSON.parse(seal === '' ? '{}' : seal), 'the second line');
  if (sha256 !== digestOf(line)) throw new Problem('its checksum does not fit');
  return { line, note };
}

/** Without a checksum of its own: what does not fit the image has no effect but that `undo` refuses. */
function notedIn(line: string): { readonly writtenAt?: string } {
  const [, writtenAt] = NOTE.exec(line) ?? [];
  return writtenAt === undefined ? {} : { writtenAt };
}

function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Problem(`${what} is no object`);
}

function verbOf(value: unknown): JournalVerb {
  const verb = JOURNAL_VERBS.find((each) => each === value);
  if (verb === undefined) throw new Problem(`expected one of the verbs ${JOURNAL_VERBS.join(', ')}`);
  return verb;
}

function textOf(fields: Record<string, unknown>, name: string, pattern: RegExp): string {
  const value = fields[name];
  if (typeof value === 'string' && value.length <= MAX_TEXT && pattern.test(value)) return value;
  throw new Problem(`its field ${name} cannot be right`);
}

function listOf<T>(fields: Record<string, unknown>, name: string, itemOf: (item: unknown) => T): T[] {
  const items = fields[name];
  if (Array.isArray(items) && items.length <= MAX_ITEMS) return items.map((item: unknown) => itemOf(item));
  throw new Problem(`its field ${name} cannot be right`);
}

function linkOf(item: unknown): JournalLink {
  const fields = objectOf(item, 'one of its links');
  return { uuid: textOf(fields, 'uuid', UUID), path: textOf(fields, 'path', PATH) };
}

function pathOf(item: unknown): string {
  return textOf({ path: item }, 'path', PATH);
}

function countOf(value: unknown, name: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new Problem(`its field ${name} cannot be right`);
}

function detailsOf(fields: Record<string, unknown>): Record<string, string | number | boolean> {
  const details: Record<string, string | number | boolean> = {};
  const names = Object.keys(fields).filter((name) => !FIELDS.includes(name));
  if (names.length > MAX_DETAILS) throw new Problem(`expected at most ${MAX_DETAILS} further fields`);
  for (const name of names) {
    const value = fields[name];
    const isText = typeof value === 'string' && value.length <= MAX_TEXT;
    if (!NAME.test(name) || !(isText || typeof value === 'number' || typeof value === 'boolean')) {
      throw new Problem('one of its further fields cannot be right');
    }
    details[name] = value;
  }
  return details;
}

/** What is left for bytes that are unpacked. */
interface Room {
  byteLength: number;
}

function writesOf(value: unknown, room: Room): JournalWrite[] {
  if (!Array.isArray(value) || value.length > MAX_WRITES) throw new Problem('its field writes cannot be right');
  return value.map((item: unknown): JournalWrite => {
    const fields = objectOf(item, 'one of its writes');
    const offset = countOf(fields['offset'], 'writes.offset');
    return { offset, before: bytesOf(fields['before'], room), after: bytesOf(fields['after'], room) };
  });
}

function cutOf(value: unknown, room: Room): JournalCut[] {
  if (!Array.isArray(value) || value.length > MAX_WRITES) throw new Problem('its field cut cannot be right');
  return value.map((item: unknown): JournalCut => {
    const fields = objectOf(item, 'one of its cut pieces');
    return { offset: countOf(fields['offset'], 'cut.offset'), before: bytesOf(fields['before'], room) };
  });
}

function bytesOf(value: unknown, room: Room): Uint8Array {
  if (typeof value === 'string' && value.startsWith(PACKED)) return unpacked(value.slice(PACKED.length), room);
  const isHex = typeof value === 'string' && value.length % 2 === 0 && /^[0-9a-f]*$/.test(value);
  if (isHex) return new Uint8Array(Buffer.from(value, 'hex'));
  throw new Problem('the bytes of one of its writes cannot be right');
}

function unpacked(text: string, room: Room): Uint8Array {
  try {
    const bytes = inflateRawSync(Buffer.from(text, 'base64'), { maxOutputLength: Math.max(1, room.byteLength) });
    room.byteLength -= bytes.length;
    return bytes;
  } catch {
    throw new Problem('the bytes of one of its writes cannot be right');
  }
}

/** Writes lie one behind the other, each within the file before and after; what is cut lies behind the file afterwards. */
function checkPlaces({ writes, cut = [], fileSize, fileSizeAfter }: Journal): void {
  let end = 0;
  for (const { offset, before, after } of writes) {
    const kept = Math.max(0, Math.min(after.length, fileSize - offset));
    if (offset < end || offset + after.length > fileSizeAfter || before.length !== kept || after.length === 0) {
      throw new Problem('the places of its writes cannot be right');
    }
    end = offset + after.length;
  }
  end = fileSizeAfter;
  for (const { offset, before } of cut) {
    if (offset < end || offset + before.length > fileSize || before.length === 0) {
      throw new Problem('the places of what it cuts cannot be right');
    }
    end = offset + before.length;
  }
}

/** In hexadecimal, or packed where there are many: a table of blocks without a place is one byte, a million times. */
function textFor(bytes: Uint8Array): string {
  if (bytes.length <= SHORT_BYTES) return Buffer.from(bytes).toString('hex');
  return `${PACKED}${deflateRawSync(bytes, { level: 1 }).toString('base64')}`;
}

function digestOf(line: string): string {
  return createHash('sha256').update(line).digest('hex');
}
