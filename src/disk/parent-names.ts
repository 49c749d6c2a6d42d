import { quote } from '../format/bytes.ts';
import { decodeParentName } from '../format/dynamic-header.ts';
import { decodeLocatorName, nameProblem } from '../format/locator-name.ts';
import {
  locatorSpaceBytes,
  MAX_NAME_BYTES,
  NO_PLATFORM,
  type ParentLocator,
  PLATFORM_CODES,
} from '../format/parent-locator.ts';
import { type Finding, finding } from '../format/rules.ts';
import type { Storage } from '../storage/storage.ts';
import type { Examination } from './recognise.ts';

/** Where a name of the parent stands: in the locator with this platform code, or in the name field of the header. */
export type ParentNameSource = 'W2ru' | 'W2ku' | 'MacX' | 'Wi2r' | 'Wi2k' | 'name';

/** One name that a differencing image has for its parent. */
export interface ParentName {
  /** Where it stands. */
  readonly source: ParentNameSource;
  /** The name as it stands there: a path in the way of any system, a file URL in `MacX`. Never empty, without NULs. */
  readonly text: string;
}

/** What a differencing image says of where its parent is. */
export interface ParentNames {
  /** Its names in the order to be tried: locators from the best to the worst, then the name field. */
  readonly names: readonly ParentName[];
  /** What is odd about them. */
  readonly findings: readonly Finding[];
}

/** Locators in the order in which their names are tried: relative names outlive a move, new forms what is deprecated. */
const ORDER = ['W2ru', 'W2ku', 'MacX', 'Wi2r', 'Wi2k'] as const;

/** Byte offset of the name field in the dynamic header. */
const NAME_FIELD_OFFSET = 64;

/**
 * Reads the names that a differencing image has for its parent. Whatever stands there, it rejects only if the storage
 * cannot be read.
 */
export async function readParentNames(storage: Storage, examination: Examination): Promise<ParentNames> {
  const { header, footer, fileSize } = examination;
  if (header === undefined) return { names: [], findings: [] };
  const names: ParentName[] = [];
  const findings: Finding[] = [];
  for (const source of ORDER) {
    for (const locator of header.parentLocators.filter(({ platformCode }) => platformCode === source)) {
      const { text, finding: found } = await readLocator(storage, locator, fileSize);
      if (found !== undefined) findings.push(found);
      if (text !== '') names.push({ source, text });
    }
  }
  findings.push(...header.parentLocators.flatMap(unreadLocator));
  const text = decodeParentName(header);
  const problem = nameProblem(text);
  const offset = (footer?.dataOffset ?? 0) + NAME_FIELD_OFFSET;
  if (problem !== undefined) findings.push(finding('parent.name', { offset, found: quote(text) }));
  if (text !== '') names.push({ source: 'name', text });
  return { names, findings };
}

interface LocatorReading {
  /** Empty if there is none. */
  readonly text: string;
  readonly finding?: Finding | undefined;
}

async function readLocator(storage: Storage, locator: ParentLocator, fileSize: number): Promise<LocatorReading> {
  const { platformCode, dataByteLength: length, dataOffset: offset } = locator;
  if (offset < 0 || offset + length > fileSize) {
    const found = offset < 0 ? 'an offset past any file' : `${length} bytes at ${offset}`;
    return { text: '', finding: finding('locator.range', { expected: `a place before ${fileSize}`, found }) };
  }
  if (length > MAX_NAME_BYTES) {
    const detail = { offset, expected: `at most ${MAX_NAME_BYTES} bytes`, found: `${length} bytes` };
    return { text: '', finding: finding('locator.length', detail) };
  }
  const bytes = new Uint8Array(length);
  await storage.read(bytes, offset);
  const { text, problem } = decodeLocatorName(platformCode, bytes);
  if (problem !== undefined || text === '') {
    const found = `${problem ?? 'no bytes'} in ${platformCode}`;
    // A name with something wrong is tried all the same: the parent is known by its identifier.
    const message = text === '' ? undefined : 'the name in a parent locator is not as it should be';
    return { text, finding: finding('locator.name', { offset, found, message }) };
  }
  const space = locatorSpaceBytes(locator);
  if (length <= space) return { text };
  return {
    text,
    finding: finding('locator.space', { offset, expected: `at most ${space} bytes`, found: `${length}` }),
  };
}

/** A Mac alias leads to a file by numbers of an HFS volume, and is not read. Unknown codes are told by the header. */
function unreadLocator({ platformCode, dataOffset }: ParentLocator): Finding[] {
  const isKnown = (PLATFORM_CODES as readonly string[]).includes(platformCode);
  if (platformCode === NO_PLATFORM || !isKnown || (ORDER as readonly string[]).includes(platformCode)) return [];
  const message = 'a parent locator holds an alias of the old Mac OS, which is not read';
  return [finding('locator.name', { offset: dataOffset < 0 ? undefined : dataOffset, message })];
}
