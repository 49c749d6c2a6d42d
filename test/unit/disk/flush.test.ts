import { describe, expect, it } from 'vitest';
import { createVhdStorage } from '../../../src/disk/create-storage.ts';
import { FlatDisk } from '../../../src/disk/flat.ts';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { gate, ProbeStorage, turns } from '../../support/probe-storage.ts';

const MiB = 2 ** 20;
const SHAPE = { size: 300 * 4096, blockSize: 4096 };
/** Where the blocks of that image begin, behind headers and table. */
const BLOCKS_AT = 3072;

async function open() {
  const probe = new ProbeStorage(new MemoryStorage(buildImage(SHAPE)));
  return { probe, disk: await openVhdStorage(probe, { writable: true }) };
}

describe('the calls of a sequential fill', () => {
  it('are at most 160 writes and 4 flushes for 256 MiB in pieces of 2 MiB, close included', async () => {
    const probe = new ProbeStorage(new MemoryStorage());
    const disk = await createVhdStorage(probe, { size: 256 * MiB });
    probe.calls.length = 0;
    const piece = pattern(2 * MiB);
    for (let position = 0; position < 256 * MiB; position += piece.length) await disk.write(piece, position);
    await disk.close();
    expect(probe.count('write')).toBeLessThanOrEqual(160);
    expect(probe.count('flush')).toBeLessThanOrEqual(4);
    expect(probe.count('read')).toBe(0);
    expect(disk.allocatedBytes).toBe(256 * MiB);
  });
});

describe('a flush', () => {
  it('is two barriers however many blocks were allocated, and adjacent table sectors are one write', async () => {
    const { probe, disk } = await open();
    await disk.write(pattern(SHAPE.size), 0);
    probe.calls.length = 0;
    await disk.flush();
    expect(probe.changes()).toEqual(['flush', 'write 1536+1200', 'flush']);
    await disk.close();
  });

  it('is one barrier where only allocated room was overwritten', async () => {
    const { probe, disk } = await open();
    await disk.write(pattern(4096), 0);
    await disk.flush();
    probe.calls.length = 0;
    await disk.write(pattern(4096, 2), 0);
    await disk.flush();
    expect(probe.count('flush')).toBe(1);
    await disk.close();
  });

  it('is none where nothing changed', async () => {
    const { probe, disk } = await open();
    await disk.flush();
    await disk.write(new Uint8Array(4096), 0);
    await disk.flush();
    await disk.discard(0, SHAPE.size);
    await disk.flush();
    await disk.close();
    expect(probe.changes()).toEqual([]);
  });

  it('writes only the sectors of the table that changed', async () => {
    const { probe, disk } = await open();
    await disk.write(pattern(4096), 0);
    await disk.write(pattern(4096), 280 * 4096);
    probe.calls.length = 0;
    await disk.flush();
    expect(probe.changes()).toEqual(['flush', 'write 1536+512', 'write 2560+176', 'flush']);
    await disk.close();
  });

  it('leaves to the next one what changes while it runs', async () => {
    const { probe, disk } = await open();
    await disk.write(pattern(4096), 0);
    const held = gate();
    probe.before = (call) => (call.kind === 'flush' ? held.opened : undefined);
    const flush = disk.flush();
    await turns();
    await disk.write(pattern(4096, 2), 4096);
    held.open();
    await flush;
    const entries = new Uint8Array(8);
    await probe.read(entries, 1536);
    expect(entries.subarray(4)).toEqual(new Uint8Array(4).fill(0xff));
    probe.calls.length = 0;
    await disk.flush();
    expect(probe.changes()).toEqual(['flush', 'write 1536+512', 'flush']);
    await disk.close();
  });

  it('leaves to the next one an overwrite that resolves while its barrier runs', async () => {
    const { probe, disk } = await open();
    await disk.write(pattern(4096), 0);
    await disk.flush();
    await disk.write(pattern(4096, 2), 0);
    const held = gate();
    probe.before = (call) => (call.kind === 'flush' ? held.opened : undefined);
    const flush = disk.flush();
    await turns();
    await disk.write(pattern(4096, 3), 0);
    held.open();
    await flush;
    probe.calls.length = 0;
    await disk.flush();
    expect(probe.changes()).toEqual(['flush']);
    await disk.close();
  });

  it('is shared by all that ask while one waits', async () => {
    const { probe, disk } = await open();
    await disk.write(pattern(4096), 0);
    await Promise.all(Array.from({ length: 10 }, () => disk.flush()));
    expect(probe.count('flush')).toBe(2);
    await disk.close();
  });
});

describe.each([
  ['a dynamic disk', async () => open()],
  [
    'a flat disk',
    async () => {
      const probe = new ProbeStorage(new MemoryStorage(new Uint8Array(8192)));
      return { probe, disk: new FlatDisk(probe, 8192, false) };
    },
  ],
])('a second flush of %s', (_name, openIt) => {
  it('does not resolve before the barrier that covers its writes has', async () => {
    const { probe, disk } = await openIt();
    await disk.write(pattern(512), 0);
    const held = gate();
    let isDurable = false;
    probe.before = (call) => (call.kind === 'flush' ? held.opened : undefined);
    probe.after = (call) => {
      if (call.kind === 'flush') isDurable = true;
    };
    const first = disk.flush();
    await turns();
    const second = disk.flush().then(() => isDurable);
    await turns();
    held.open();
    expect(await second).toBe(true);
    await first;
    await disk.close();
  });
});

describe('close', () => {
  it('gives back what was reserved: footer, barrier, cut, barrier', async () => {
    const { probe, disk } = await open();
    await disk.write(pattern(4096), 0);
    await disk.flush();
    probe.calls.length = 0;
    await disk.close();
    const end = BLOCKS_AT + 4608;
    expect(probe.changes()).toEqual([`write ${end}+512`, 'flush', `truncate ${end + 512}+0`, 'flush']);
  });

  it('waits for writes on their way and makes them durable', async () => {
    const memory = new MemoryStorage(buildImage(SHAPE));
    const disk = await openVhdStorage(new ProbeStorage(memory), { writable: true });
    const writes = [0, 1, 2].map((blockIndex) => disk.write(pattern(4096, blockIndex + 1), blockIndex * 4096));
    await Promise.all([disk.close(), ...writes]);
    const again = await openVhdStorage(new MemoryStorage(memory.toBytes()));
    expect(await again.readBytes(8192, 4096)).toEqual(pattern(4096, 3));
  });
});

describe('writes into a block that has no place', () => {
  it('give it one place however many come at once', async () => {
    const { probe, disk } = await open();
    const places = Array.from({ length: 16 }, (_, index) => index * 256);
    await Promise.all(places.map((place) => disk.write(pattern(200, place + 1), place)));
    await disk.flush();
    expect(probe.calls.filter((call) => call.kind === 'write' && call.position === BLOCKS_AT)).toHaveLength(1);
    expect(disk.allocatedBytes).toBe(4096);
    for (const place of places) expect(await disk.readBytes(place, 200)).toEqual(pattern(200, place + 1));
    await disk.close();
  });

  it('give it none if they are zeros', async () => {
    const { probe, disk } = await open();
    await disk.write(new Uint8Array(SHAPE.size), 0);
    await disk.discard(0, SHAPE.size);
    await disk.discard(100, 5000);
    expect(disk.allocatedBytes).toBe(0);
    expect(probe.changes()).toEqual([]);
    await disk.close();
  });

  it('grow the file ahead, one footer for sixteen blocks', async () => {
    const { probe, disk } = await open();
    for (let blockIndex = 0; blockIndex < 32; blockIndex++) await disk.write(pattern(4096), blockIndex * 4096);
    expect(probe.calls.filter((call) => call.kind === 'write' && call.length === 512)).toHaveLength(2);
    await disk.close();
  });
});
