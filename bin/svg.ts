import { escapeControls } from '../src/format/bytes.ts';

/** Attributes of an element; those that are undefined are left out. */
export type Attributes = Readonly<Record<string, string | number | undefined>>;

/** An element; `content` is SVG already, texts in it went through `xmlText`. */
export function tag(name: string, attributes: Attributes, content = ''): string {
  const told = Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined ? [] : [` ${key}="${typeof value === 'number' ? rounded(value) : xmlText(value)}"`],
  );
  const opening = `<${name}${told.join('')}`;
  return content === '' ? `${opening}/>` : `${opening}>${content}</${name}>`;
}

/**
 * Any text as text of an XML document: markup, control characters and those that XML 1.0 does not allow are escaped.
 * XML 1.0, 2.2: besides controls and surrogates U+FFFE and U+FFFF are no characters.
 */
export function xmlText(text: string): string {
  const allowed = escapeControls(text).replace(
    /[\ufffe\uffff]/g,
    (character) => `\\u{${character.charCodeAt(0).toString(16)}}`,
  );
  return allowed
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

/** A text, as it is. */
export function label(text: string, place: Attributes): string {
  return tag('text', place, xmlText(text));
}

/** A line of text, cut with an ellipsis where it would be wider than `maxWidth` at its size. */
export function textLine(
  text: string,
  place: Attributes,
  size: { readonly font: number; readonly maxWidth: number },
): string {
  return label(fitText(text, size.font, size.maxWidth), place);
}

/** As much of a text as fits, control characters escaped, with an ellipsis for the rest. */
export function fitText(text: string, font: number, maxWidth: number): string {
  const characters = Array.from(escapeControls(text));
  let width = 0;
  let fitting = 0;
  for (const [index, character] of characters.entries()) {
    width += emWidth(character) * font;
    if (width > maxWidth) return fitting === 0 ? '' : `${characters.slice(0, fitting).join('')}…`;
    if (width + font <= maxWidth) fitting = index + 1;
  }
  return characters.join('');
}

/** A text in lines as wide as that, at most `maxLines` of them, control characters escaped. */
export function wrapText(
  text: string,
  size: { readonly font: number; readonly maxWidth: number },
  maxLines: number,
): string[] {
  const lines: string[] = [];
  let rest = escapeControls(text);
  while (rest !== '' && lines.length < maxLines) {
    const fitting = fitText(rest, size.font, size.maxWidth);
    const isLast = fitting === rest || lines.length === maxLines - 1;
    // Broken at the last space; a word that fills a line is broken where it is.
    const wordsEnd = fitting.lastIndexOf(' ');
    const cut = isLast || wordsEnd <= 0 ? fitting.replace(/…$/, '').length : wordsEnd;
    lines.push(isLast ? fitting : rest.slice(0, cut));
    rest = isLast ? '' : rest.slice(cut).trimStart();
  }
  return lines;
}

/** Width of a character in a usual sans-serif font, rather too much than too little; there is nothing here to measure with. */
function emWidth(character: string): number {
  if (/[ijl.,:;'|!()[\]\s]/.test(character)) return 0.34;
  if (/[a-z0-9_-]/.test(character)) return character === 'm' || character === 'w' ? 0.86 : 0.6;
  return (character.codePointAt(0) ?? 0) < 0x250 ? 0.74 : 1.1;
}

function rounded(value: number): string {
  return String(Math.round(value * 100) / 100);
}
