// Images with one defect each: its rule comes first, and nothing that has nothing to do with it is an error.
import { describe, expect, it } from 'vitest';
import { NO_OFFSET } from '../../../src/format/bytes.ts';
import type { DynamicHeader } from '../../../src/format/dynamic-header.ts';
import { encodeFooter, type Footer } from '../../../src/format/footer.ts';
import { newFooter } from '../../../src/format/new-footer.ts';
import { type CheckOptions, check } from '../../../src/ops/check.ts';
import type { Progress } from '../../../src/ops/progress.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage, footerOf, type ImageShape } from '../../support/build-image.ts';
import { bootRecord, gptDisk, LINUX } from '../../support/tables.ts';

const KIB = 1024;
const MIB = KIB * KIB;
const NOW = new Date('2025-06-01T00:00:00Z');
const base: ImageShape = {
  size: MIB,
  blockSize: 64 * KIB,
  alignment: 'aligned',
  blocks: [{ index: 1 }, { index: 0, data: 0 }, { index: 15 }],
};
const sound = buildImage(base);
const size = sound.length;

/** Severity and rule of everything that is found, in order. */
async function rulesOf(bytes: Uint8Array, options: CheckOptions = {}): Promise<string[]> {
  const { findings } = await check(new MemoryStorage(bytes), { now: NOW, ...options });
  return findings.map(({ severity, rule }) => `${severity} ${rule}`);
}

const built = (shape: Partial<ImageShape>): Uint8Array => buildImage({ ...base, ...shape });
const footer = (fields: Partial<Footer>): Uint8Array => built({ footer: fields });
const header = (fields: Partial<DynamicHeader>): Uint8Array => built({ header: fields });
const patched = (offset: number, ...values: number[]): Uint8Array => {
  const bytes = sound.slice();
  bytes.set(values, offset < 0 ? size + offset : offset);
  return bytes;
};
const longer = (bytes: Uint8Array, more: number, value = 0xee): Uint8Array => {
  const result = new Uint8Array(bytes.length + more).fill(value);
  result.set(bytes);
  return result;
};
const fixed = (dataBytes: number, fields: Partial<Footer> = {}, disk?: Uint8Array): Uint8Array => {
  const made = newFooter({ type: 'fixed', size: MIB, uniqueId: new Uint8Array(16).fill(7), timestamp: 700_000_000 });
  const bytes = new Uint8Array(dataBytes + 512);
  if (disk !== undefined) bytes.set(disk);
  bytes.set(encodeFooter({ ...made, ...fields }), dataBytes);
  return bytes;
};
const poison = new Uint8Array(512).fill(0xc7);
/** Byte offset of the first block, whose entry says where its bitmap is. */
const block = new DataView(sound.buffer).getUint32(1536 + 4) * 512;
const batmap = (mapOffset: number, checksum: number): Uint8Array => {
  const bytes = built({ blocksFrom: 8192 });
  bytes.set(new TextEncoder().encode('tdbatmap'), 2048);
  const view = new DataView(bytes.buffer, 2048);
  view.setUint32(12, mapOffset);
  view.setUint32(16, 1);
  view.setUint32(20, 0x10002);
  view.setUint32(24, checksum);
  return bytes;
};

const DEFECTS: Readonly<Record<string, readonly [Uint8Array, ...string[]]>> = {
  none: [sound],
  'none, fixed': [fixed(MIB)],
  'no footer at all': [new Uint8Array(4096), 'error footer.missing'],
  'another format': [longer(Uint8Array.from([0x51, 0x46, 0x49, 0xfb]), 4096), 'error footer.missing'],
  'end footer zeroed': [built({ endFooter: new Uint8Array(512) }), 'warning footer.end-missing'],
  'end footer cut off': [sound.subarray(0, size - 512), 'warning footer.end-missing'],
  'end footer checksum': [patched(-500, 1), 'warning footer.end-missing'],
  'front copy zeroed': [built({ startFooter: new Uint8Array(512) }), 'warning footer.copy-missing'],
  'both checksums': [
    built({ startFooter: new Uint8Array(512), endFooter: patched(-500, 1).subarray(-512) }),
    'error footer.checksum',
  ],
  'end footer poisoned': [built({ endFooter: poison }), 'warning footer.poisoned'],
  'both footers poisoned': [built({ endFooter: poison, startFooter: poison }), 'error footer.poisoned'],
  'sector appended': [longer(sound, 512), 'warning footer.displaced'],
  'bytes appended': [longer(sound, 100), 'warning footer.displaced'],
  'bytes appended, fixed': [longer(fixed(MIB), 4096), 'error footer.displaced'],
  'last bytes of the footer cut off': [sound.subarray(0, size - 20), 'warning footer.displaced'],
  'footer of 511 bytes': [built({ isLegacyEnd: true }), 'warning footer.legacy'],
  'sizes differ': [built({ endFooter: { timestamp: 700_000_001 } }), 'warning footer.copy-differs'],
  'identifiers differ': [
    built({ endFooter: { uniqueId: new Uint8Array(16).fill(9) } }),
    'error footer.copy-contradicts',
  ],
  'cut in the middle': [
    sound.subarray(0, block + 80 * KIB),
    'error file.truncated',
    'error bat.out-of-file',
    'warning footer.end-missing',
  ],
  'odd length': [built({ endFooter: new Uint8Array(100) }), 'warning file.unaligned', 'warning footer.end-missing'],
  'features 0': [footer({ features: 0 }), 'note footer.features'],
  temporary: [footer({ features: 3 }), 'note footer.temporary'],
  'version 2.0': [footer({ formatVersion: 0x20000 }), 'error footer.version'],
  'type 9': [footer({ diskType: 9 }), 'error footer.type'],
  'type fixed': [footer({ diskType: 2 }), 'error footer.type'],
  'size 0': [
    fixed(0, { currentSize: 0, originalSize: 0, geometry: { cylinders: 0, heads: 4, sectorsPerTrack: 17 } }),
    'warning footer.size-zero',
  ],
  'size no whole sector': [
    fixed(MIB + 100, { currentSize: MIB + 100, originalSize: MIB + 100 }),
    'warning footer.size-sectors',
  ],
  'size 2^60': [patchedSize(), 'error footer.size', 'error fixed.short'],
  'size grown': [footer({ currentSize: 2 * MIB, originalSize: 2 * MIB }), 'error bat.short', 'note geometry.size'],
  resized: [footer({ originalSize: MIB / 2 }), 'note footer.original-size'],
  'data offset past the end': [
    built({ startFooter: { dataOffset: 2 ** 40 }, endFooter: { dataOffset: 2 ** 40 } }),
    'error footer.data-offset',
  ],
  'data offset in a fixed disk': [fixed(MIB, { dataOffset: 0xffffffff }), 'note footer.data-offset-unused'],
  'saved state': [footer({ savedState: 1 }), 'warning footer.saved-state'],
  'from the future': [footer({ timestamp: 2 ** 31 }), 'warning footer.future'],
  'null identifier': [footer({ uniqueId: new Uint8Array(16) }), 'warning footer.uuid-null'],
  'reserved bytes': [footer({ reserved: new Uint8Array(427).fill(1, 5, 6) }), 'note footer.reserved'],
  hidden: [footer({ reserved: new Uint8Array(427).fill(1, 0, 1) }), 'note footer.hidden'],
  'geometry too small': [footer({ geometry: { cylinders: 1, heads: 4, sectorsPerTrack: 17 } }), 'note geometry.size'],
  'geometry too large': [
    footer({ geometry: { cylinders: 99, heads: 4, sectorsPerTrack: 17 } }),
    'warning geometry.too-large',
  ],
  'largest geometry': [
    footer({ geometry: { cylinders: 65535, heads: 16, sectorsPerTrack: 255 } }),
    'note geometry.maximum',
  ],
  'header cookie': [patched(512, 0), 'error header.cookie'],
  'header checksum': [patched(548, 1), 'error header.checksum'],
  'header version': [header({ headerVersion: 2 }), 'error header.version'],
  'header data offset': [header({ dataOffset: 0 }), 'note header.data-offset'],
  'block size': [header({ blockSize: 3 * MIB }), 'error header.block-size'],
  'table past the end': [header({ tableOffset: 2 ** 40 }), 'error header.table-offset'],
  'table over the header': [header({ tableOffset: 1024 }), 'error header.table-offset'],
  'parent named without need': [
    header({ parentTimestamp: 5, parentUniqueId: new Uint8Array(16).fill(5) }),
    'warning header.parent',
  ],
  'table too long': [built({ maxTableEntries: 17 }), 'note bat.long'],
  'table too short': [header({ maxTableEntries: 15 }), 'error bat.short'],
  'block past the end': [
    built({ blocks: [{ index: 1 }, { index: 0, entry: 1_000_000 }] }),
    'error bat.out-of-file',
    'note file.leaked',
  ],
  'block over the headers': [
    built({ blocks: [{ index: 1 }, { index: 0, entry: 1 }] }),
    'error bat.in-metadata',
    'note file.leaked',
  ],
  'entry 0': [built({ blocks: [{ index: 1 }, { index: 0, entry: 0 }] }), 'error bat.in-metadata', 'note file.leaked'],
  'two blocks in one place': [
    built({ blocks: [{ index: 1 }, { index: 0, entry: block / 512 }] }),
    'error bat.overlap',
    'note file.leaked',
  ],
  'space of a block unused': [built({ blocks: [{ index: 1 }, { index: 0, entry: 0xffffffff }] }), 'note file.leaked'],
  'one block elsewhere': [
    built({
      blocks: [{ index: 1 }, { index: 0, data: 0 }, { index: 3, entry: block / 512 + 2 * 136 + 1 }],
      slackBytes: 4096,
    }),
    'note bat.misaligned',
  ],
  packed: [built({ alignment: 'packed', tableOffset: 2048 }), 'note bat.unaligned'],
  'fixed and too short': [fixed(MIB - 512), 'error fixed.short'],
  'fixed and too long': [fixed(MIB + 512), 'warning fixed.long'],
  'batmap past the end': [batmap(2 ** 31, 0), 'warning batmap.range'],
  'batmap checksum': [batmap(2560, 1), 'warning batmap.checksum'],
  'partition past the end': [
    fixed(MIB, {}, bootRecord([{ type: 0x83, start: 63, count: 9999 }])),
    'warning partition.past-end',
  ],
  'partitions that overlap': [
    fixed(
      MIB,
      {},
      bootRecord([
        { type: 0x83, start: 63, count: 900 },
        { type: 0x83, start: 100, count: 100 },
      ]),
    ),
    'warning partition.overlap',
  ],
  'grown behind its GPT': [
    fixed(
      2 * MIB,
      { ...footerOf({ size: 2 * MIB }), diskType: 2, dataOffset: NO_OFFSET },
      gptDisk({ sectorCount: 2048, entries: [{ type: LINUX, first: 40, last: 1000 }] }),
    ),
    'warning partition.backup-gpt',
  ],
};

function patchedSize(): Uint8Array {
  const bytes = fixed(4096);
  const view = new DataView(bytes.buffer, 4096);
  view.setUint32(48, 2 ** 28);
  let sum = 0;
  for (let index = 0; index < 512; index++) if (index < 64 || index >= 68) sum += bytes[4096 + index] ?? 0;
  view.setUint32(64, ~sum >>> 0);
  return bytes;
}

describe('an image with one defect', () => {
  it.each(Object.entries(DEFECTS))('%s', async (_name, [bytes, ...rules]) => {
    const before = bytes.slice();
    expect(await rulesOf(bytes)).toEqual(rules);
    expect(Buffer.compare(bytes, before)).toBe(0);
  });

  it('has what it means and what mends it with each finding', async () => {
    const storage = new MemoryStorage(longer(fixed(MIB), 512));
    const { ok, path, type, virtualSize, findings } = await check(storage);
    expect({ ok, path, type, virtualSize }).toEqual({ ok: false, path: storage.name, type: 'fixed', virtualSize: MIB });
    expect(findings).toEqual([
      expect.objectContaining({ rule: 'footer.displaced', path, offset: MIB, found: '512 bytes behind it' }) as unknown,
    ]);
    expect(findings[0]).toMatchObject({
      means: expect.stringMatching(/appended/) as string,
      remedy: `vhd repair ${path} --cut`,
    });
  });
});

describe('a broken footer at the end', () => {
  const kept = ['for.xenserver.footer'];
  const gone = ['for.hyperv.footer', ...kept, 'for.virtualbox.footer', 'for.libvhdi.footer'];

  it.each([
    ['with its cookie', patched(-512 + 64, 1), kept],
    ['without its cookie', patched(-512, 0), gone],
    ['that is missing', sound.subarray(0, size - 512), gone],
  ])('%s: what it means is what is told of each program', async (_name, bytes, refusals) => {
    const readers = ['hyperv', 'xenserver', 'virtualbox', 'libvhdi'] as const;
    const { findings } = await check(new MemoryStorage(bytes), { for: readers });
    const rules = findings.map(({ rule }) => rule);
    expect(new Set(rules.filter((rule) => /^for\.\w+\.footer$/.test(rule)))).toEqual(new Set(refusals));
    expect(findings.find(({ rule }) => rule === 'footer.end-missing')?.means).toMatch(
      /^XenServer refuses .* libvhdi, VirtualBox and Windows unless the footer still begins with its cookie/,
    );
  });
});

describe('a deep check', () => {
  const blocks = [{ index: 0 }, { index: 2, data: 0, sectors: [0, 7] }, { index: 3, data: 0, sectors: [] }];
  const deep = { deep: true };

  it('counts sectors that are marked as never written', async () => {
    const bytes = built({ blocks });
    expect(await rulesOf(bytes)).toEqual([]);
    expect(await rulesOf(bytes, deep)).toEqual(['note bitmap.partial']);
    const { findings } = await check(new MemoryStorage(bytes), { deep: true, now: NOW });
    expect(findings[0]?.found).toBe('254 sectors that are zero in 2 blocks, the first is block 2');
  });

  it('finds bytes in such sectors, and where', async () => {
    const bytes = built({ blocks });
    const [second = 0, third = 0] = [2, 3].map((index) => new DataView(bytes.buffer).getUint32(1536 + index * 4) * 512);
    bytes[second + 512 + 8 * 512 + 3] = 1;
    bytes[third + 512 + 64 * KIB - 1] = 1;
    const { findings, ok } = await check(new MemoryStorage(bytes), { deep: true, now: NOW });
    expect([ok, findings.length]).toEqual([false, 1]);
    expect(findings[0]).toMatchObject({
      ...{ rule: 'bitmap.data-under-clear-bit', severity: 'error', offset: second + 512 + 8 * 512 },
      found: '2 sectors with other bytes in 2 blocks, the first is block 2',
      remedy: expect.stringMatching(/^vhd repair .* --set-bits$/) as string,
    });
  });

  it('knows that blktap leaves old bytes there, and looks at nothing behind the end of the disk', async () => {
    const shape = { blocks: [{ index: 2, data: 1, sectors: [0] }], footer: { creatorApplication: 'tap\0' } };
    expect(await rulesOf(built(shape), deep)).toEqual(['warning bitmap.data-under-clear-bit']);
    const odd = { size: MIB + 512, blocks: [{ index: 16, data: 1, sectors: [0] }] };
    expect(await rulesOf(built(odd), deep)).toEqual([]);
  });

  it('tells how far it is, and can be stopped', async () => {
    const told: Progress[] = [];
    await check(new MemoryStorage(built({ blocks })), { deep: true, onProgress: (progress) => told.push(progress) });
    expect(told.at(-1)).toMatchObject({ phase: 'check', doneBytes: 192 * KIB, totalBytes: 192 * KIB });
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(check(new MemoryStorage(sound), { signal })).rejects.toThrow('enough');
  });
});

it('names every option that a repair of this very image takes', async () => {
  const blocks = Array.from({ length: 4 }, (_, index) => ({ index, data: index + 1 }));
  const bytes = buildImage({ ...base, alignment: 'packed', blocks });
  // No checksum that any header has, and a block size with which the blocks do not follow each other.
  new DataView(bytes.buffer).setUint32(512 + 32, 32 * KIB);
  new DataView(bytes.buffer).setUint32(512 + 36, 1);
  const { findings } = await check(new MemoryStorage(bytes, { name: 'disk.vhd' }), { now: NOW });
  const told = findings.find(({ rule }) => rule === 'header.checksum');
  expect(told?.remedy).toBe('vhd repair disk.vhd --rebuild-bat');
});

it('knows what other programs make of a file that is shorter than a sector', async () => {
  const bytes = encodeFooter({ ...footerOf({ size: 0 }), dataOffset: NO_OFFSET, diskType: 2 });
  const readers = ['qemu', '7zip', 'libvhdi', 'virtualbox'] as const;
  const report = await check(new MemoryStorage(bytes.subarray(0, 511)), { for: readers, now: NOW });
  // qemu-img 7.2, 7z 26.02 and vhdiinfo 20210425 refuse it.
  expect([report.accepted, report.acceptedBy]).toEqual([false, []]);
});

it('takes no option that it does not know', async () => {
  await expect(check(new MemoryStorage(sound), { deeper: true } as object)).rejects.toThrow(TypeError);
  await expect(check(new MemoryStorage(sound), { deep: 1 } as object)).rejects.toThrow(TypeError);
});
