/** How much a finding matters: an error makes some bytes unreadable or ambiguous, a warning will trouble some reader. */
export type Severity = 'error' | 'warning' | 'note';

/** Something about an image that is not as it should be. Data, so that programs can act on it. */
export interface Finding {
  /** Which rule was broken. */
  readonly rule: RuleId;
  /** How much it matters. */
  readonly severity: Severity;
  /** One sentence. */
  readonly message: string;
  /** Byte offset in the file; undefined where no single place is at fault. */
  readonly offset?: number | undefined;
  /** What should have stood there. */
  readonly expected?: string | undefined;
  /** What stood there instead. */
  readonly found?: string | undefined;
}

/**
 * The rule table: id, severity and meaning of everything that decoding and opening can find.
 * Sources: the specification (2006), and for tolerated deviations the programs whose images show them.
 */
export const RULES = {
  'file.in-use': ['warning', 'another program is writing to the file: what is told of it may be out of date'],
  'file.journal': ['warning', 'an operation that changes it in place was begun and not finished'],
  'footer.missing': ['error', 'there is no valid footer where one belongs'],
  'footer.cookie': ['error', 'the footer does not begin with its cookie'],
  'footer.checksum': ['error', 'the footer checksum does not fit its bytes'],
  'footer.poisoned': ['error', 'the image is open in another program, or was left disabled by one (blktap)'],
  'footer.version': ['error', 'the footer has an unknown format version'],
  'footer.type': ['error', 'the footer names no known disk type'],
  'footer.size': ['error', 'the virtual size cannot be right'],
  'footer.size-sectors': ['warning', 'the virtual size is not a whole number of sectors'],
  'footer.data-offset': ['error', 'the footer does not point to a dynamic header inside the file'],
  'footer.features': ['note', 'the feature bits are not those the specification asks for'],
  'footer.temporary': ['note', 'the image is marked temporary, to be deleted on shutdown'],
  'footer.saved-state': ['warning', 'a virtual machine was saved with this image'],
  'footer.reserved': ['note', 'the reserved bytes of the footer are not zero'],
  'footer.hidden': ['note', 'the image is marked hidden (blktap, byte 85)'],
  'footer.hidden-checksum': ['warning', 'the checksum is right only without the hidden mark (early blktap)'],
  'footer.legacy': ['warning', 'the footer has 511 bytes, as before Virtual PC 2004'],
  'footer.end-missing': ['warning', 'the footer at the end is missing or broken; the copy at offset 0 is used'],
  'footer.copy-missing': ['warning', 'the footer copy at offset 0 is missing or broken'],
  'footer.copy-differs': [
    'warning',
    'the footer and its copy at offset 0 are not the same; the one at the end is used',
  ],
  'footer.copy-contradicts': ['error', 'the footers at both ends describe different images'],
  'geometry.size': ['note', 'the CHS geometry is not the one the specification computes for the size'],
  'header.cookie': ['error', 'the dynamic header does not begin with its cookie'],
  'header.checksum': ['error', 'the dynamic header checksum does not fit its bytes'],
  'header.version': ['error', 'the dynamic header has an unknown version'],
  'header.data-offset': ['note', 'the unused data offset of the dynamic header is not all ones'],
  'header.block-size': ['error', 'the block size is not a power of two of at least one sector'],
  'header.table-offset': ['error', 'the dynamic header does not point to a table inside the file'],
  'header.reserved': ['note', 'the reserved bytes of the dynamic header are not zero'],
  'locator.platform': ['note', 'a parent locator has an unknown platform code'],
  'locator.reserved': ['note', 'the reserved bytes of a parent locator are not zero'],
  'locator.range': ['warning', 'a parent locator points outside the file'],
  'locator.length': ['warning', 'the name in a parent locator is longer than any path'],
  'locator.space': ['note', 'the name in a parent locator is longer than the room it has'],
  'locator.name': ['note', 'a parent locator holds no name that can be used'],
  'parent.name': ['note', 'the parent name is not valid UTF-16'],
  'parent.unavailable': ['warning', 'the parent cannot be opened'],
  'parent.timestamp': ['warning', 'the parent has another time stamp than its child knows: it may have been changed'],
  'parent.size': ['note', 'the parent has another size'],
  'bat.short': ['error', 'the block allocation table has fewer entries than the size needs'],
  'bat.limit': ['error', 'the block allocation table is larger than this library holds in memory'],
  'bat.long': ['note', 'the block allocation table has more entries than the size needs'],
  'bat.out-of-file': ['error', 'a block lies past the end of the file'],
  'bat.in-metadata': ['error', 'a block lies over the headers or the table'],
  'bat.overlap': ['error', 'two blocks share the same place'],
  'fixed.short': ['error', 'the file holds fewer bytes than the virtual disk'],
  'fixed.long': ['warning', 'the file holds more bytes than the virtual disk'],
  'bitmap.data-under-clear-bit': ['error', 'sectors marked as never written hold bytes'],
} as const satisfies Record<string, readonly [Severity, string]>;

/** The id of a rule, stable like an error code. */
export type RuleId = keyof typeof RULES;

/** Where and what of a finding; the rest comes from the rule table. */
export interface FindingDetail {
  /** Byte offset in the file. */
  readonly offset?: number | undefined;
  /** What should have stood there. */
  readonly expected?: string | undefined;
  /** What stood there instead. */
  readonly found?: string | undefined;
  /** Overrides the severity of the rule. */
  readonly severity?: Severity | undefined;
  /** Overrides the sentence of the rule. */
  readonly message?: string | undefined;
}

/** Makes a finding of a rule: severity and message come from the table, the place from `detail`. */
export function finding(rule: RuleId, detail: FindingDetail = {}): Finding {
  const [severity, message] = RULES[rule];
  return {
    rule,
    severity: detail.severity ?? severity,
    message: detail.message ?? message,
    ...(detail.offset === undefined ? {} : { offset: detail.offset }),
    ...(detail.expected === undefined ? {} : { expected: detail.expected }),
    ...(detail.found === undefined ? {} : { found: detail.found }),
  };
}

/** A finding as one sentence: message, offset, expected, found. */
export function describeFinding(item: Finding): string {
  const place = item.offset === undefined ? '' : ` at offset ${item.offset}`;
  const expected = item.expected === undefined ? '' : `: expected ${item.expected}`;
  const found = item.found === undefined ? '' : `${expected === '' ? ':' : ','} found ${item.found}`;
  return `${item.message}${place}${expected}${found}`;
}

/** What a user should know of an image, one sentence each: everything but the notes. */
export function warningsOf(findings: readonly Finding[]): string[] {
  return findings.filter((item) => item.severity !== 'note').map(describeFinding);
}
