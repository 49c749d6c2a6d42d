import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { FlatDisk } from '../../../src/disk/flat.ts';
import { VhdError } from '../../../src/errors.ts';
import { hashDisk, RootDigest } from '../../../src/ops/hash.ts';
import { decodeManifests, hasBlocks, type Manifest, readManifests } from '../../../src/ops/manifest.ts';
import { manifestFor, readManifestFor } from '../../../src/ops/manifest-choice.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { pattern } from '../../support/bytes.ts';
import { mix, numberFromEnv, Random } from '../../support/seed.ts';

const MiB = 1024 ** 2;
const size = 7 * MiB + 512;
const bytes = new Uint8Array(size);
bytes.set(pattern(100, 1), 0);
bytes.set(pattern(512, 2), size - 512);
const hash = await hashDisk(new FlatDisk(new MemoryStorage(bytes), size, true));
const manifest = { schema: 'vhdkit/hash/1', path: 'dir/a.vhd', ...hash };
const json = JSON.stringify(manifest, undefined, 2);
const HEX = 'ab'.repeat(32);

/** The same with their blocks as arrays. */
const plain = (manifests: Manifest[]) => {
  return manifests.map((item) => (hasBlocks(item) ? { ...item, blocks: [...item.blocks] } : item));
};
const decode = (text: string) => plain(decodeManifests(Buffer.from(text), 'm.json'));
const FAULT = expect.objectContaining({ name: 'VhdError', code: 'ERR_VHD_MANIFEST', storage: 'm.json' }) as unknown;

function failureOf(text: string | Uint8Array): unknown {
  try {
    return plain(decodeManifests(typeof text === 'string' ? Buffer.from(text) : text, 'm.json'));
  } catch (error) {
    return error;
  }
}

describe('manifests', () => {
  it('are told without control characters', () => {
    const text = JSON.stringify({ ...manifest, schema: '\u001b[31m\n' });
    expect(failureOf(text)).toMatchObject({ found: "'\\u{1b}[31m\\u{a}'" });
  });

  it('are read back, however they are spaced and whatever else they say', () => {
    const expected = [{ path: 'dir/a.vhd', ...hash }];
    expect(decode(json)).toEqual(expected);
    expect(decode(`\n ${JSON.stringify({ more: [1, { deep: null }], ...manifest })}\r\n`)).toEqual(expected);
    expect(decode(JSON.stringify({ ...manifest, path: undefined }))).toEqual([{ path: null, ...hash }]);
  });

  it('are read as a Windows shell writes them', () => {
    expect(plain(decodeManifests(Buffer.from(`\ufeff${json}`, 'utf16le')))).toEqual(decode(json));
    expect(plain(decodeManifests(Buffer.from(`\ufeff${json}`)))).toEqual(decode(json));
  });

  it('may be several, one a line', () => {
    const lines = ['x/a.vhd', 'b.vhd'].map((path) => JSON.stringify({ ...manifest, path }));
    const found = decode(`${lines.join('\n')}\n`);
    expect(found.map(({ path }) => path)).toEqual(['x/a.vhd', 'b.vhd']);
    expect(failureOf(`${lines.join('\n')}\n{"schema":`)).toEqual(FAULT);
    expect((failureOf(`${lines[0]}\n{}`) as Error).message).toMatch(/^line 2: /);
  });

  it('may be lines of sha256sum', () => {
    expect(decode(`${HEX}  a b.vhd\n${HEX.toUpperCase()} *c\\n.raw\r\n\\${HEX}  d\\\\e\\nf\n`)).toEqual([
      { path: 'a b.vhd', sha256: HEX },
      { path: 'c\\n.raw', sha256: HEX },
      { path: 'd\\e\nf', sha256: HEX },
    ]);
  });

  it.each([
    ['', 'an empty file'],
    ['\n\n', 'an empty file'],
    ['null', 'something else in line 1'],
    ['[]', 'something else in line 1'],
    [`${HEX}\n`, 'something else in line 1'],
    [`${HEX}  a\n${HEX.slice(1)}  b\n`, 'something else in line 2'],
    ['{}', "expected schema 'vhdkit/hash/1', found none"],
    [json.replace('hash/1', 'hash/2'), "found 'vhdkit/hash/2'"],
    [json.slice(0, -1), 'something else in line 1'],
  ])('%j is none', (text, why) => {
    expect(failureOf(text)).toEqual(FAULT);
    expect((failureOf(text) as Error).message).toContain(why);
  });

  it('are no bytes that are no text, nor too many', () => {
    expect(failureOf(Uint8Array.of(0x7b, 0xff, 0x7d))).toEqual(FAULT);
    expect(failureOf(Uint8Array.of(0xff, 0xfe, 0x7b))).toEqual(FAULT);
    expect(failureOf(new Uint8Array(128 * MiB + 1))).toMatchObject({ code: 'ERR_VHD_LIMIT', storage: 'm.json' });
    expect(failureOf('['.repeat(1_000_000))).toEqual(FAULT);
    expect(failureOf(`{"blocks":${'['.repeat(1_000_000)}`)).toEqual(FAULT);
  });

  const [first, last] = hash.blocks;
  const hostile: Record<string, unknown> = {
    ...{ nothing: null, number: -1, half: 0.5, huge: 2 ** 53, infinite: 1e999, text: 'x', long: 'x'.repeat(1e6) },
    ...{ empty: [], object: {}, true: true, '__proto__ of a list': [{ ['__proto__']: first }] },
    twice: [first, first],
    backwards: [last, first],
    'one missing': [last],
    'beyond the end': [first, last, { ...last, start: 8 * MiB }],
    'between blocks': [first, { ...last, start: 512 }],
    'upper case': [first, { ...last, sha256: last?.sha256.toUpperCase() }],
    'a short hash': [first, { ...last, sha256: last?.sha256.slice(1) }],
    'holes in the list': [null, undefined],
    'a great deal of nothing': Array.from({ length: 1e5 }, () => 0),
  };
  it.each(Object.keys(hostile))('with %s in any field are refused', (name) => {
    for (const field of ['schema', 'virtualSize', 'blockSize', 'root', 'blocks']) {
      expect([field, failureOf(JSON.stringify({ ...manifest, [field]: hostile[name] }))]).toEqual([field, FAULT]);
    }
    for (const field of ['start', 'sha256']) {
      const blocks = [{ ...first, [field]: hostile[name] }, last];
      expect([field, failureOf(JSON.stringify({ ...manifest, blocks }))]).toEqual([field, FAULT]);
    }
  });

  it.each([
    [0, 2 * MiB],
    [6 * MiB, MiB + 512],
  ])('with the zeros of the block at %d in the list are refused, though their root is right', (start, length) => {
    const zeros = { start, sha256: createHash('sha256').update(new Uint8Array(length)).digest('hex') };
    const digest = new RootDigest(size);
    digest.add(zeros);
    const found = failureOf(JSON.stringify({ ...manifest, root: digest.hex(), blocks: [zeros] }));
    expect(found).toEqual(FAULT);
    expect((found as Error).message).toContain('block 0 not to be all zeros');
  });

  it('say no more than fits, whatever they hold', () => {
    const { message } = failureOf(JSON.stringify({ ...manifest, root: 'x'.repeat(1e6) })) as Error;
    expect(message.length).toBeLessThan(300);
  });

  it.each([1, 2, 3, 7, 64, 1000])('are the same in pieces of %d bytes', async (length) => {
    const shell = Buffer.from(`\ufeff${json.replace('dir', 'dür')}`, 'utf16le');
    const several = Buffer.from(`${JSON.stringify(manifest)}\n\n${HEX}  a\u00e9\u{1f600}.vhd\r\n${json}\n${HEX} *b`);
    for (const whole of [shell, Buffer.from(json), several, Buffer.from(json.slice(0, -3)), Buffer.of(0x7b)]) {
      const pieces = Array.from({ length: Math.ceil(whole.length / length) }, (_, index) => {
        return whole.subarray(index * length, (index + 1) * length);
      });
      const found = await readManifests(pieces, 'm.json').then(plain, (error: unknown) => error);
      expect(found).toEqual(failureOf(whole));
    }
  });

  it('have one list of blocks', () => {
    // Both of them right where the other one is empty: nothing else is wrong with it.
    const list = JSON.stringify(hash.blocks);
    const before = JSON.stringify({ ...manifest, blocks: undefined }).slice(0, -1);
    for (const [one, other] of [
      [list, '[]'],
      ['[]', list],
      [list, list],
    ]) {
      for (const [key, again] of [
        ['"blocks"', '"blocks"'],
        ['"blocks"', '"\\u0062locks"'],
        ['"\\u0062locks"', '"blocks"'],
      ]) {
        expect(failureOf(`${before},${key}:${one},${again}:${other}}`)).toMatchObject({
          found: 'a key twice in line 1',
        });
      }
    }
    for (const other of ['"\\u0062locks":', `"blocks":${' '.repeat(100)}`]) {
      expect(decode(JSON.stringify(manifest).replace('"blocks":', other))).toEqual([{ path: 'dir/a.vhd', ...hash }]);
    }
    for (const [from, to] of [
      ['[{', '[,{'],
      ['}]', '},]'],
      ['},{', '},,{'],
      ['}]', '}}'],
      ['}]', '}]]'],
    ] as const) {
      expect(failureOf(JSON.stringify(manifest).replace(from, to))).toEqual(FAULT);
    }
  });

  it.each(['schema', 'path', 'virtualSize', 'blockSize', 'root', 'blocks', 'more'])('have one %s', (key) => {
    const value = JSON.stringify(({ more: 1, ...manifest } as Record<string, unknown>)[key]);
    const text = JSON.stringify({ more: 1, ...manifest });
    expect(decode(text)).toEqual(decode(json));
    const twice = `${text.slice(0, -1)},\n"${key}":${value}}`;
    expect(failureOf(twice)).toMatchObject({ code: 'ERR_VHD_MANIFEST', found: 'a key twice in line 1' });
    expect(failureOf(`${json}\n${twice}`)).toMatchObject({
      found: expect.stringMatching(/^a key twice in line \d\d$/) as string,
    });
    // What is within a value is no key of the manifest.
    const within = `${text.slice(0, -1)},"other":{"${key}":[1,2,3],"x":",\\",","y":{"${key}":${value}}}}`;
    expect(decode(`${within}\n${text}`)).toEqual([...decode(json), ...decode(json)]);
  });

  it('with a list of any length are read in batches', () => {
    const virtualSize = 5000 * 2 * MiB;
    const blocks = Array.from({ length: 5000 }, (_, index) => ({ start: index * 2 * MiB, sha256: HEX }));
    const digest = new RootDigest(virtualSize);
    for (const block of blocks) digest.add(block);
    const long = { ...manifest, virtualSize, root: digest.hex(), blocks };
    const text = JSON.stringify(long);
    expect(decode(text)).toMatchObject([{ blocks }]);
    // The commas at which a batch may end are none to be left out, or doubled.
    for (let at = text.indexOf('},{', 30_000); at < 45_000; at = text.indexOf('},{', at + 1)) {
      expect(failureOf(`${text.slice(0, at + 1)},${text.slice(at + 1)}`)).toEqual(FAULT);
    }
    const short = JSON.stringify({ ...long, virtualSize: virtualSize - 3 * MiB });
    expect(failureOf(short)).toMatchObject({ found: String(4999 * 2 * MiB) });
  });

  it('that are made to be slow are not', async () => {
    const bytes = Buffer.from(`{${'"":[],'.repeat(1.7e5)}`);
    const pieces = Array.from({ length: Math.ceil(bytes.length / 16) }, (_, index) => {
      return bytes.subarray(index * 16, (index + 1) * 16);
    });
    // With a copy of what was before for every piece it is many more.
    expect(await secondsOf(() => readManifests(pieces, 'm.json'))).toBeLessThan(5);
  });

  it('that are many are not slow either, whatever the lengths of their last blocks', async () => {
    const objects = Array.from({ length: 2000 }, (_, index) => {
      const virtualSize = 4 * MiB - 512 * index;
      const block = { start: virtualSize > 2 * MiB ? 2 * MiB : 0, sha256: HEX };
      const digest = new RootDigest(virtualSize);
      digest.add(block);
      return JSON.stringify({ ...manifest, virtualSize, root: digest.hex(), blocks: [block] });
    });
    // With the hash of 2 MiB of zeros, and of a last block of zeros, for each of them it is many more.
    expect(await secondsOf(() => readManifests([Buffer.from(objects.join('\n'))], 'm.json'))).toBeLessThan(3);
  });

  it.each([
    ['text', `"x":"${'x'.repeat(MiB)}"`, 'more than 1 MiB that is no list of blocks in line 1'],
    ['small values', `"x":[${'{},'.repeat(4e5)}{}]`, 'more than 1 MiB that is no list of blocks in line 1'],
    ['text in a block', `"blocks":[{"x":"${'x'.repeat(MiB)}"}]`, 'more than 1 MiB that is no list of blocks in line 1'],
    ['levels', '"x":[[[[[[[[0]]]]]]]]', 'more than 8 levels of lists and objects in line 1'],
    ['levels in a block', '"blocks":[[[[[[[[0]]]]]]]]', 'more than 8 levels of lists and objects in line 1'],
  ])('with too much %s beside their blocks are refused', (_, more, why) => {
    const found = failureOf(`{${more},${JSON.stringify(manifest).slice(1)}`);
    expect(found).toEqual(FAULT);
    expect((found as Error).message).toContain(why);
  });

  it('may have much text, and levels, beside their blocks', () => {
    const more = `"x":"${'x'.repeat(MiB - 1000)}","y":[[[[[[{}]]]]]]`;
    expect(decode(`{${more},${JSON.stringify(manifest).slice(1)}`)).toEqual(decode(json));
  });

  it('are no lines of more than 1 MiB', () => {
    expect(failureOf(`${HEX}  a\n${HEX}  ${'x'.repeat(MiB)}`)).toMatchObject({
      found: 'more than 1 MiB that is no list of blocks in line 2',
    });
  });

  it('changed anywhere are refused, or say the same', () => {
    const seed = numberFromEnv('VHDKIT_SEED', 1);
    const lines = `${HEX}  a.vhd\n\\${HEX}  b\\\\c.vhd\n`;
    const outcomes = { refused: 0, read: 0 };
    const runs = numberFromEnv('VHDKIT_RUNS', 2000);
    for (let run = 0; run < runs; run++) {
      const random = new Random(mix(seed, run));
      const mutated = mutate(Buffer.from(random.oneIn(4) ? lines : json), random);
      const found = failureOf(mutated);
      if (found instanceof VhdError) {
        expect([run, found]).toEqual([run, FAULT]);
        outcomes.refused++;
        continue;
      }
      outcomes.read++;
      for (const item of found as ReturnType<typeof decodeManifests>) {
        if (hasBlocks(item)) expect([run, { ...item, path: '' }]).toEqual([run, { path: '', ...hash }]);
        else expect([run, item.sha256]).toEqual([run, expect.stringMatching(/^[0-9a-f]{64}$/)]);
      }
    }
    expect(outcomes.refused).toBeGreaterThan(runs / 4);
    expect(outcomes.read).toBeGreaterThan(runs / 40);
  });
});

/** Seconds of the processor, other programs not counted. What is called may fail as a manifest does. */
async function secondsOf(call: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await call().catch((error: unknown) => expect(error).toEqual(FAULT));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** A few bytes changed, cut out, doubled or put elsewhere. */
function mutate(source: Buffer, random: Random): Buffer {
  let result = Buffer.from(source);
  for (let count = 1 + random.below(2); count > 0; count--) {
    const [from, to] = [random.below(result.length), random.below(result.length)].sort((a, b) => a - b) as [
      number,
      number,
    ];
    const part = result.subarray(from, to);
    switch (random.below(5)) {
      case 0:
        result[from] = random.below(256);
        break;
      case 1:
        result = result.subarray(0, to);
        break;
      case 2:
        result = Buffer.concat([result.subarray(0, from), result.subarray(to)]);
        break;
      case 3:
        result = Buffer.concat([result.subarray(0, to), part, result.subarray(to)]);
        break;
      default:
        result[from] = '0123456789{}[]",:-e.\\'.charCodeAt(random.below(21));
    }
  }
  return result;
}

describe('the manifest for an image', () => {
  const of = (...paths: string[]) => paths.map((path, index) => ({ path, sha256: String(index) }));

  it('is the only one, whatever its name', () => {
    expect(manifestFor(of('other.raw'), 'a.vhd')).toMatchObject({ sha256: '0' });
  });

  it('is of several that with its path, else that with its name', () => {
    expect(manifestFor(of('x/a.vhd', 'a.vhd', 'b.vhd'), 'a.vhd')).toMatchObject({ sha256: '1' });
    expect(manifestFor(of('x/a.vhd', 'b.vhd'), '/y/a.vhd')).toMatchObject({ sha256: '0' });
  });

  it('is one of those that say the same', () => {
    const [one] = of('d.vhd');
    expect(manifestFor([...of('d.vhd'), ...of('d.vhd')], 'any.vhd')).toEqual(one);
    expect(manifestFor([...of('x/d.vhd'), ...of('y/d.vhd'), ...of('b.vhd')], 'd.vhd')).toMatchObject({
      path: 'x/d.vhd',
    });
    const path = 'dir/a.vhd';
    const blocks = [
      { ...hash, path },
      { path, sha256: HEX },
      { ...hash, path: 'b' },
    ];
    expect(manifestFor([...blocks.slice(0, 1), ...blocks.slice(2), ...blocks.slice(0, 1)], path)).toEqual(blocks[0]);
    // Nobody knows whether these two say the same; nor is a copy under another name the image itself.
    expect(() => manifestFor(blocks, path)).toThrow('several that differ');
    expect(() => manifestFor([...of('d.vhd'), ...of('e.vhd')], 'f.vhd')).toThrow("found 'd.vhd', 'e.vhd'");
  });

  it.each([
    [
      ['x/a.vhd', 'y/a.vhd'],
      "several that differ, or are of two forms: 'x/a.vhd', 'y/a.vhd'",
      'no telling which entry is meant: expected one entry',
    ],
    [
      ['a.vhd', 'b', 'a.vhd'],
      "several that differ, or are of two forms: 'a.vhd', 'a.vhd'",
      'no telling which entry is meant: expected one entry',
    ],
    [['x/b.vhd', 'c.vhd'], "'x/b.vhd', 'c.vhd'", 'a manifest of other images: expected an entry'],
    [['b', 'c', 'd', 'e', 'f'], "'b', 'c', 'd' and 2 more", 'a manifest of other images: expected an entry'],
    [
      ['b\u001b', `c${'d'.repeat(1e5)}`],
      `'b\\u{1b}', '…${'d'.repeat(79)}'`,
      'a manifest of other images: expected an entry',
    ],
    [[], 'none', 'a manifest of other images: expected an entry'],
  ])('of %j cannot be told', (paths, found, why) => {
    const error = { code: 'ERR_VHD_MANIFEST', storage: 'm', found, message: `${why} for 'a.vhd', found ${found}` };
    expect(() => manifestFor(of(...paths), 'a.vhd', 'm')).toThrow(expect.objectContaining(error) as Error);
  });

  it('is told of what has no name', () => {
    const without = [hash, { ...hash, root: HEX }].map((each) => ({ ...each, path: null }));
    expect(() => manifestFor(without, 'a.vhd')).toThrow('found one without a name, one without a name');
  });

  it('is read out of a file that is intact, to its end', async () => {
    const lines = `${HEX}  a.vhd\n${'cd'.repeat(32)}  b.vhd\n`;
    expect(await readManifestFor([Buffer.from(lines)], 'b.vhd')).toEqual({ path: 'b.vhd', sha256: 'cd'.repeat(32) });
    await expect(readManifestFor([Buffer.from(`${lines}x`)], 'b.vhd', 'm.json')).rejects.toEqual(FAULT);
    await expect(readManifestFor([], 'b.vhd', 'm.json')).rejects.toEqual(FAULT);
    await expect(readManifestFor([Buffer.from(lines)], 'c.vhd', 'm.json')).rejects.toEqual(FAULT);
  });
});
