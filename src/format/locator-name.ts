import { readLatin1, viewOf } from './bytes.ts';

/** A name as text, and what is wrong with its bytes. */
export interface DecodedName {
  /** The name up to its first NUL; empty if there is none. Unpaired surrogates are kept as they are. */
  readonly text: string;
  /** What is wrong, as the end of a sentence; undefined if nothing is. */
  readonly problem: string | undefined;
}

/**
 * Decodes the payload of a parent locator: UTF-16LE in `W2ru` and `W2ku` (specification, "Parent Locator"), a UTF-8 URL in
 * `MacX`, one byte a character in `Wi2r` and `Wi2k`, whose code page nobody knows (read as Latin-1).
 */
export function decodeLocatorName(platformCode: string, bytes: Uint8Array): DecodedName {
  if (platformCode === 'W2ru' || platformCode === 'W2ku') return decodeUnits(bytes);
  if (platformCode === 'MacX') return decodeUtf8(bytes);
  return untilNul(latin1(bytes), undefined);
}

/** What is wrong with a text as the name of a file; undefined if nothing is. */
export function nameProblem(text: string): string | undefined {
  return /\p{Cs}/u.test(text) ? 'an unpaired surrogate, which no file name has' : undefined;
}

function decodeUnits(bytes: Uint8Array): DecodedName {
  const view = viewOf(bytes);
  let text = '';
  for (let offset = 0; offset + 1 < bytes.length; offset += 2) {
    text += String.fromCharCode(view.getUint16(offset, true));
  }
  const problem = bytes.length % 2 === 0 ? undefined : 'an odd number of bytes, for characters of two';
  return untilNul(text, problem);
}

function decodeUtf8(bytes: Uint8Array): DecodedName {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  return untilNul(text, text.includes('\ufffd') ? 'bytes that are no UTF-8' : undefined);
}

function latin1(bytes: Uint8Array): string {
  let text = '';
  // In pieces: every byte is an argument of a call.
  for (let offset = 0; offset < bytes.length; offset += 4096) text += readLatin1(bytes, offset, 4096);
  return text;
}

/** Names may end in NULs; what stands behind the first of them is no part of the name. */
function untilNul(text: string, problem: string | undefined): DecodedName {
  const end = text.indexOf('\0');
  const name = end < 0 ? text : text.slice(0, end);
  if (text !== '' && name === '') return { text: '', problem: 'zeros only' };
  const isCut = end >= 0 && /[^\0]/.test(text.slice(end));
  return { text: name, problem: problem ?? nameProblem(name) ?? (isCut ? 'a NUL in the middle' : undefined) };
}

/** Where a file URL leads, or why it leads nowhere here. */
export interface FileUrlPaths {
  /** The paths it can mean, likelier ones first: absolute, or relative to the image that holds it. */
  readonly paths: readonly string[];
  /** Why there are none; undefined if there are. */
  readonly problem: string | undefined;
}

/**
 * The paths that a file URL can mean: `file:///a/b` and `file://localhost/a/b` (RFC 8089), and `file://./b` as blktap
 * writes it, without escapes, for a path from the image on. Behind a host it is on another machine.
 */
export function pathsOfFileUrl(url: string): FileUrlPaths {
  const rest = /^file:(.*)$/isu.exec(url)?.[1];
  if (rest === undefined) return { paths: [], problem: 'no file URL' };
  const path = rest.startsWith('//') ? pathBehindHost(rest.slice(2)) : rest;
  if (path === undefined) return { paths: [], problem: 'a file on another machine' };
  // `/C:/a` is how a drive stands in a URL.
  const plain = path.replace(/^\/(?=[a-z]:\/)/iu, '');
  const paths = [unescaped(plain), plain].filter((text) => text !== undefined && text !== '' && !text.includes('\0'));
  const problem = paths.length === 0 ? 'a URL without a path' : undefined;
  return { paths: [...new Set(paths as string[])], problem };
}

function pathBehindHost(rest: string): string | undefined {
  const [host = ''] = rest.split('/', 1);
  if (host === '' || host.toLowerCase() === 'localhost') return rest.slice(host.length);
  return host === '.' || host === '..' || !rest.includes('/') ? rest : undefined;
}

function unescaped(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}
