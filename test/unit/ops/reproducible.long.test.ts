import { createReadStream, createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { ContentDigest, contentUuidOf } from '../../../src/ops/content-uuid.ts';
import { convert } from '../../../src/ops/convert.ts';
import type { ConvertOptions, TargetType } from '../../../src/ops/convert-options.ts';
import { readInfo } from '../../../src/ops/info.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { checkParameters } from '../../support/seed.ts';
import { imageWith, rawDisk } from '../../support/streams-disks.ts';
import { WorkFolder } from '../../support/streams-files.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const folder = new WorkFolder();
const size = 9 * MIB + 512;
const patches = [
  { position: 300, bytes: pattern(MIB, 1) },
  { position: 5 * MIB + 77, bytes: pattern(100_000, 2) },
  { position: size - 10, bytes: pattern(10, 3) },
];
const content = new Uint8Array(size);
for (const { bytes, position } of patches) content.set(bytes, position);

describe('the identifier of a content', () => {
  it('does not depend on how the bytes come', async () => {
    const expected = await contentUuidOf(rawDisk(content));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 1, maxLength: 40 }), (lengths) => {
        const digest = new ContentDigest();
        for (let position = 0, turn = 0; position < size; turn++) {
          const bytes = content.subarray(position, position + (lengths[turn % lengths.length] ?? 1));
          digest.update(bytes, position);
          position += bytes.length;
        }
        expect(digest.uuid(size)).toEqual(expected);
      }),
      checkParameters(40),
    );
  });

  it('is the same for stored zeros and for holes, whatever the container', async () => {
    const expected = await contentUuidOf(rawDisk(content));
    for (const type of ['fixed', 'dynamic'] as const) {
      const disk = await openVhdStorage(new MemoryStorage(await imageWith(type, size, patches)));
      expect(await contentUuidOf(disk)).toEqual(expected);
    }
  });

  it('tells contents and sizes apart', async () => {
    const moved = new Uint8Array(size);
    moved.set(content.subarray(0, size - 64 * KIB), 64 * KIB);
    const disks = [content, content.subarray(0, size - 512), new Uint8Array(size), new Uint8Array(512), moved];
    const changed = Uint8Array.from(content);
    changed[5 * MIB + 80] = (changed[5 * MIB + 80] ?? 0) ^ 1;
    const uuids = await Promise.all([...disks, changed].map((bytes) => contentUuidOf(rawDisk(bytes))));
    expect(new Set(uuids.map((uuid) => Buffer.from(uuid).toString('hex'))).size).toBe(6);
    for (const uuid of uuids) expect([(uuid[7] ?? 0) >> 4, (uuid[8] ?? 0) >> 6]).toEqual([8, 2]);
  });
});

describe('a reproducible conversion', () => {
  const source = folder.file('disk.raw', content);
  const whole = folder.file('whole.raw', content.subarray(0, 9 * MIB));

  async function made(
    to: TargetType,
    from: Parameters<typeof convert>[0],
    more: Partial<ConvertOptions> = {},
  ): Promise<Buffer> {
    const path = folder.fresh(`${to}.vhd`);
    await convert(from, path, { to, reproducible: true, ...more });
    return readFile(path);
  }

  async function piped(to: TargetType, from: Parameters<typeof convert>[0]): Promise<Buffer> {
    const path = folder.fresh(`${to}.piped`);
    const target = createWriteStream(path);
    await convert(from, target, { to, reproducible: true });
    target.end();
    await finished(target);
    return readFile(path);
  }

  it.each(['fixed', 'dynamic'] as const)('to %s gives the same file by every way', async (to) => {
    const first = await made(to, source);
    const dynamic = folder.fresh('middle.vhd');
    await convert(source, dynamic, { to: 'dynamic' });
    const others = [
      await made(to, source),
      await made(to, dynamic),
      await made(to, createReadStream(source), { inputSize: size }),
      await made(to, createReadStream(dynamic)),
      await piped(to, source),
      ...(to === 'fixed' ? [await piped(to, createReadStream(source)), await made(to, createReadStream(source))] : []),
    ];
    for (const other of others) expect(firstDifference(other, first)).toBe(-1);
  });

  it('to dynamic, from a pipe of unknown length, gives an image of the same identity', async () => {
    const [first, second] = [
      await made('dynamic', createReadStream(source)),
      await made('dynamic', createReadStream(source)),
    ];
    expect(firstDifference(first, second)).toBe(-1);
    const [info, fromFile] = await Promise.all(
      [first, await made('dynamic', source)].map((bytes) => readInfo(new MemoryStorage(bytes))),
    );
    expect(info).toMatchObject({ uuid: fromFile?.uuid, created: '2000-01-01T00:00:00Z', readable: true, findings: [] });
  });

  it('in place gives the file that a copy would be', async () => {
    const path = folder.file('place.raw', content.subarray(0, 9 * MIB));
    await convert(path, path, { to: 'fixed', inPlace: true, reproducible: true, from: 'raw' });
    expect(firstDifference(await readFile(path), await made('fixed', whole))).toBe(-1);
  });

  it('keeps what is given', async () => {
    const uuid = '00112233-4455-6677-8899-aabbccddeeff';
    const timestamp = new Date('2020-02-02T02:02:02Z');
    for (const from of [source, createReadStream(source)]) {
      const bytes = await made('fixed', from, { uuid, timestamp });
      expect(await readInfo(new MemoryStorage(bytes))).toMatchObject({ uuid, created: '2020-02-02T02:02:02Z' });
    }
  });
});
