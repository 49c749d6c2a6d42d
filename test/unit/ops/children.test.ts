// Children made through the library: what they are, and that nothing is left or open when they cannot be made.
import { appendFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { createVhdStorage } from '../../../src/disk/create-storage.ts';
import { decodeDynamicHeader, decodeParentName } from '../../../src/format/dynamic-header.ts';
import { encodeFooter, type Footer } from '../../../src/format/footer.ts';
import { newFooter } from '../../../src/format/new-footer.ts';
import { createVhd, openVhd } from '../../../src/open.ts';
import { convert } from '../../../src/ops/convert.ts';
import { createImage } from '../../../src/ops/create.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { CHILD_IDENTITY, referenceTo } from '../../support/children.ts';
import { contentOfFile, imageWith, ProbeDisk, rawDisk } from '../../support/streams-disks.ts';
import { failureOf } from '../../support/streams-sources.ts';
import { useTempFolder } from '../../support/temp.ts';

const MiB = 2 ** 20;
const folder = useTempFolder('children');
const file = (name: string): string => folder.file(name);
const content = pattern(3 * MiB);

async function openFiles(): Promise<string[]> {
  const names = await readdir('/proc/self/fd').catch(() => []);
  return names.sort();
}

beforeAll(async () => {
  await writeFile(file('base.raw'), content);
  await convert(file('base.raw'), file('base.vhd'), { to: 'dynamic' });
  await mkdir(file('kids'));
});

describe('createVhdStorage with a parent', () => {
  it('makes a disk that is written over its parent, and closes that with itself', async () => {
    const parent = new ProbeDisk(rawDisk(content.slice(), true));
    const storage = new MemoryStorage();
    const parentReference = { ...referenceTo({ footer: someFooter() }), uniqueId: new Uint8Array(16) };
    const child = await createVhdStorage(storage, { parent, parentReference, ...CHILD_IDENTITY });
    expect(child).toMatchObject({ type: 'differencing', size: 3 * MiB, blockSize: 2 * MiB, readOnly: false });
    await child.write(Uint8Array.of(1, 2, 3), MiB);
    expect([...(await child.readBytes(MiB - 1, 5))]).toEqual([content[MiB - 1], 1, 2, 3, content[MiB + 3]]);
    await child.close();
    expect(parent.begun.at(-1)).toBe('close');
    expect(parent.count('write')).toBe(0);
  });

  it('lies as Windows 10 lays it out, and the first block is on 4 KiB', async () => {
    const storage = new MemoryStorage();
    const parent = rawDisk(new Uint8Array(5 * MiB), true);
    const parentReference = { ...referenceTo({ footer: someFooter() }), uniqueId: new Uint8Array(16) };
    const child = await createVhdStorage(storage, { parent, parentReference, ...CHILD_IDENTITY });
    const empty = storage.toBytes();
    expect(empty.length % 4096).toBe(0);
    expect(firstDifference(empty.subarray(0, 512), empty.subarray(-512))).toBe(-1);
    await child.write(pattern(512), 0);
    await child.close();
    const header = decodeDynamicHeader(empty.subarray(512, 1536)).value;
    const [sector = 0] = new Uint32Array(storage.toBytes().slice(header.tableOffset, header.tableOffset + 4).buffer);
    const bitmapOffset = Buffer.from(Uint32Array.of(sector).buffer).readUInt32BE() * 512;
    expect(bitmapOffset).toBe(empty.length - 512);
    expect(storage.toBytes().length).toBe(empty.length + 2 * MiB + 4096);
  });

  it.each([
    [{ parent: 'none' }, /parent: a differencing image needs the open disk/],
    [{ parentReference: 'none' }, /parentReference: a differencing image needs/],
    [{ type: 'fixed' }, /type: expected differencing, found 'fixed'/],
    [{ size: 1000 }, /multiple of 512/],
    [{ blockSize: 4096 }, /blockSize/],
    [{ type: 'sparse' }, /type: expected fixed, dynamic, differencing/],
  ])('refuses %j, and closes what it was given', async (wrong, message) => {
    const parent = new ProbeDisk(rawDisk(content, true));
    const storage = new MemoryStorage();
    const options = { parent, parentReference: referenceTo({ footer: someFooter() }), ...wrong };
    const cleaned = Object.entries(options).map(
      ([name, value]) => [name, value === 'none' ? undefined : value] as const,
    );
    await expect(createVhdStorage(storage, Object.fromEntries(cleaned))).rejects.toThrow(message);
    await expect(storage.size()).rejects.toThrow(/closed/);
    if (!('parent' in wrong)) expect(parent.count('close')).toBe(1);
  });

  it('refuses a parent that is not the one the reference names', async () => {
    const parent = await openImage(await imageWith('dynamic', MiB, []));
    const parentReference = { ...referenceTo(parent), uniqueId: new Uint8Array(16).fill(9) };
    const made = createVhdStorage(new MemoryStorage(), { parent, parentReference });
    expect(await failureOf(made)).toMatchObject({ code: 'ERR_VHD_PARENT_UUID' });
    await expect(parent.readBytes(0, 1)).rejects.toThrow(/closed/);
  });
});

describe('createVhd with a parent', () => {
  it('finds it by its path and names it in the child', async () => {
    const disk = await createVhd(file('new.vhd'), { parent: file('base.vhd') });
    await disk.write(Uint8Array.of(7), 12_345);
    await disk.close();
    const expected = content.slice();
    expected[12_345] = 7;
    expect(firstDifference(await contentOfFile(file('new.vhd')), expected)).toBe(-1);
    const header = decodeDynamicHeader((await readFile(file('new.vhd'))).subarray(512, 1536)).value;
    expect(decodeParentName(header)).toMatch(/base\.vhd$/);
    expect(header.parentLocators.map(({ platformCode }) => platformCode).slice(0, 5)).toEqual([
      'W2ku',
      'W2ru',
      'MacX',
      'MacX',
      '\0\0\0\0',
    ]);
  });

  it('leaves nothing and has nothing open when it cannot', async () => {
    const before = [await openFiles(), await readdir(folder.path)];
    await expect(createVhd(file('base.vhd'), { parent: file('base.vhd') })).rejects.toThrow('EEXIST');
    await expect(createVhd(file('x.vhd'), { parent: file('gone.vhd') })).rejects.toThrow('ENOENT');
    await expect(createVhd(file('x.vhd'), { parent: file('base.raw') })).rejects.toThrow(/raw disk/);
    await expect(createVhd(file('x.vhd'), { parent: file('base.vhd'), type: 'fixed' })).rejects.toThrow(TypeError);
    await expect(createVhd(file('x.vhd'), { parent: file('base.vhd'), blockSize: 7 })).rejects.toThrow(RangeError);
    await expect(createVhd(new MemoryStorage(), { parent: file('base.vhd') })).rejects.toThrow(TypeError);
    // @ts-expect-error a disk is for createVhdStorage
    await expect(createVhd(file('x.vhd'), { parentReference: {} })).rejects.toThrow(TypeError);
    expect([await openFiles(), await readdir(folder.path)]).toEqual(before);
  });
});

describe('a parent that is not to be one', () => {
  it('is refused if another program waits to delete it', async () => {
    const reserved = Uint8Array.from({ length: 427 }, (_, index) => (index === 0 ? 1 : 0));
    const footer = encodeFooter({ ...someFooter('fixed'), reserved });
    await writeFile(file('hidden.vhd'), Buffer.concat([new Uint8Array(MiB), footer]));
    const failure = await failureOf(createImage(file('x.vhd'), { parent: file('hidden.vhd') }));
    expect(failure).toMatchObject({ code: 'ERR_VHD_IN_USE', message: expect.stringContaining('hidden') as string });
  });

  it('is refused if another program has it open', async () => {
    const image = await imageWith('dynamic', MiB, []);
    await writeFile(file('poisoned.vhd'), image.fill(0xc7, image.length - 512));
    const failure = await failureOf(createImage(file('x.vhd'), { parent: file('poisoned.vhd') }));
    expect(failure).toMatchObject({ code: 'ERR_VHD_IN_USE', message: expect.stringContaining('crashed') as string });
  });

  it('is refused while somebody writes to it', async () => {
    const disk = await createVhd(file('busy.vhd'), { size: MiB });
    const failure = await failureOf(createImage(file('x.vhd'), { parent: file('busy.vhd') }));
    expect(failure).toMatchObject({ code: 'ERR_VHD_IN_USE' });
    await disk.close();
  });
});

describe('convert with a parent', () => {
  const options = { to: 'differencing', parent: '' } as const;

  it('refuses what does not fit together', async () => {
    const parent = file('base.vhd');
    const refused = [{ to: 'dynamic', parent }, { to: 'differencing' }, { ...options, parent, inPlace: true }] as const;
    for (const wrong of refused) {
      await expect(convert(file('base.raw'), file('x.vhd'), wrong)).rejects.toThrow(TypeError);
    }
    async function* bytes(): AsyncGenerator<Uint8Array> {
      yield content;
    }
    const failure = await failureOf(convert(bytes(), file('x.vhd'), { ...options, parent }));
    expect(failure).toMatchObject({ code: 'ERR_VHD_STREAM' });
  });

  it.each(['source.raw', 'parent.vhd'])('notices that %s changes meanwhile, and leaves nothing', async (changing) => {
    await writeFile(file('source.raw'), pattern(8 * MiB, 3));
    await writeFile(file('parent.raw'), new Uint8Array(8 * MiB));
    await convert(file('parent.raw'), file('parent.vhd'), { to: 'fixed', force: true });
    const names = await readdir(folder.path);
    let isChanged = false;
    const onProgress = async (): Promise<void> => {
      if (isChanged) return;
      isChanged = true;
      await appendFile(file(changing), new Uint8Array(512));
    };
    const open = await openFiles();
    const failure = await failureOf(
      convert(file('source.raw'), file('x.vhd'), {
        ...options,
        parent: file('parent.vhd'),
        lock: false,
        onProgress: (progress) => void onProgress().then(() => progress),
      }),
    );
    expect(failure).toMatchObject({ code: 'ERR_VHD_SOURCE_CHANGED', storage: file(changing) });
    expect([await readdir(folder.path), await openFiles()]).toEqual([names, open]);
  });

  it('stops when it is told to, and leaves nothing', async () => {
    await writeFile(file('long.raw'), pattern(16 * MiB, 3));
    const names = await readdir(folder.path);
    const controller = new AbortController();
    const failure = await failureOf(
      convert(file('long.raw'), file('x.vhd'), {
        ...options,
        parent: file('base.vhd'),
        signal: controller.signal,
        onProgress: () => controller.abort(new Error('enough')),
      }),
    );
    expect(failure).toMatchObject({ message: 'enough' });
    expect(await readdir(folder.path)).toEqual(names);
  });

  it('takes an open disk as source, whatever its links are called', async () => {
    // Named like the parent, and not what is in that file.
    const other = await createVhdStorage(new MemoryStorage(new Uint8Array(), { name: file('base.vhd') }), {
      size: 3 * MiB,
    });
    await convert(other, file('of-disk.vhd'), { ...options, parent: file('base.vhd') });
    await other.close();
    expect((await contentOfFile(file('of-disk.vhd'))).every((byte) => byte === 0)).toBe(true);
  });

  it('reads nothing of the parent that the source has as a link too', async () => {
    await createImage(file('kids/child.vhd'), { parent: file('base.vhd'), parentDirs: [] });
    const disk = await openVhd(file('kids/child.vhd'), { writable: true, parentDirs: [folder.path] });
    await disk.write(pattern(512), 0);
    await disk.close();
    const where = { parent: file('base.vhd'), parentDirs: [folder.path] };
    const told = await convert(file('kids/child.vhd'), file('again.vhd'), { ...options, ...where });
    expect(told).toMatchObject({ copiedBytes: 0 });
  });
});

function someFooter(type: 'fixed' | 'dynamic' = 'dynamic'): Footer {
  return newFooter({ type, size: MiB, uniqueId: new Uint8Array(16).fill(5), timestamp: 77 });
}

async function openImage(bytes: Uint8Array): ReturnType<typeof openVhd> {
  return openVhd(new MemoryStorage(bytes));
}
