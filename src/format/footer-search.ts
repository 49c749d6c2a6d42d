import { FOOTER_COOKIE } from './spec.ts';

const COOKIE = Uint8Array.from(FOOTER_COOKIE, (character) => character.charCodeAt(0));

/** Where the cookie of a footer stands, from the last to the first, among those that begin before `limit`. */
export function* cookiesIn(bytes: Uint8Array, limit: number): Generator<number> {
  const [first = 0] = COOKIE;
  for (let index = bytes.lastIndexOf(first, limit - 1); index >= 0; index = bytes.lastIndexOf(first, index - 1)) {
    if (COOKIE.every((byte, at) => bytes[index + at] === byte)) yield index;
    if (index === 0) return;
  }
}
