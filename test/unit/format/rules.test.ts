import { describe, expect, it } from 'vitest';
import { escapeControls, hex, hexUint64, quote, readUint64, viewOf, writeUint64 } from '../../../src/format/bytes.ts';
import { detectForeign } from '../../../src/format/magic.ts';
import { describeFinding, finding } from '../../../src/format/rules.ts';
import { fromHex, shifted } from '../../support/bytes.ts';

describe('a finding', () => {
  it('takes severity and message from the rule table', () => {
    expect(finding('bat.long')).toEqual({
      rule: 'bat.long',
      severity: 'note',
      message: 'the block allocation table has more entries than the size needs',
    });
  });

  it('is one sentence with place, expectation and what was found', () => {
    const item = finding('header.version', { offset: 536, expected: '1', found: '2' });
    expect(describeFinding(item)).toBe('the dynamic header has an unknown version at offset 536: expected 1, found 2');
    expect(describeFinding(finding('header.version', { found: '2' }))).toBe(
      'the dynamic header has an unknown version: found 2',
    );
  });

  it('can be graver or lighter than its rule', () => {
    expect(finding('footer.poisoned', { severity: 'warning', message: 'so it is' })).toEqual({
      rule: 'footer.poisoned',
      severity: 'warning',
      message: 'so it is',
    });
  });
});

describe('text out of an image', () => {
  it('cannot bring control characters into a message', () => {
    expect(quote('a\u001b[31m\n\u202eb\ud800')).toBe("'a\\u{1b}[31m\\u{a}\\u{202e}b\\u{d800}'");
    expect(escapeControls('é中😀')).toBe('é中😀');
  });
});

describe('64-bit numbers', () => {
  it.each([
    ['0000000000000000', 0],
    ['00000000ffffffff', 2 ** 32 - 1],
    ['0000000100000000', 2 ** 32],
    ['001fffffffffffff', 2 ** 53 - 1],
    ['0020000000000000', undefined],
    ['ffffffffffffffff', undefined],
  ])('%s reads as %s', (digits, expected) => {
    const view = viewOf(shifted(fromHex(digits), 3));
    expect(readUint64(view, 0)).toBe(expected);
    expect(hexUint64(view, 0)).toBe(`0x${digits}`);
  });

  it('come back from what was written', () => {
    const bytes = shifted(new Uint8Array(8), 5);
    writeUint64(viewOf(bytes), 0, 2 ** 53 - 1);
    expect(bytes).toEqual(fromHex('001fffffffffffff'));
  });

  it('are shown with at least the digits asked for', () => {
    expect([hex(1), hex(255, 2), hex(2 ** 33, 2)]).toEqual(['0x00000001', '0xff', '0x200000000']);
  });
});

describe('detectForeign', () => {
  const at = (offset: number, text: string): Uint8Array => {
    const head = new Uint8Array(offset + text.length);
    head.set(new TextEncoder().encode(text), offset);
    return head;
  };

  it.each([
    ['vhdx', at(0, 'vhdxfile')],
    ['qcow2', fromHex('514649fb')],
    ['vmdk', at(0, 'KDMV')],
    ['vmdk', at(0, '# Disk DescriptorFile')],
    ['iso', at(32_769, 'CD001')],
    ['zip', fromHex('504b0304')],
    ['gzip', fromHex('1f8b08')],
  ])('knows %s', (kind, head) => {
    expect(detectForeign(head)?.kind).toBe(kind);
  });

  it('says nothing about what could be a disk, or is too short to tell', () => {
    expect(detectForeign(new Uint8Array(0))).toBeUndefined();
    expect(detectForeign(new Uint8Array(40_000))).toBeUndefined();
    expect(detectForeign(at(0, 'conectix'))).toBeUndefined();
    expect(detectForeign(at(0, 'vhdxfil'))).toBeUndefined();
  });
});
