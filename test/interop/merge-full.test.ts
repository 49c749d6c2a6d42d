// A merge where there is no room: refused before anything is written, or finished when there is room again.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { readJournal } from '../../src/open-journal.ts';
import { createImage } from '../../src/ops/create.ts';
import { merge } from '../../src/ops/merge.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { vhd } from '../support/cli.ts';
import { mountNew } from '../support/loop.ts';
import { useTempFolder } from '../support/temp.ts';

const MIB = 1024 * 1024;
const SIZE = 16 * MIB;

const { path: folder = '', reason } = mountNew('mkfs.ext4', 24 * MIB);

describe.skipIf(reason !== undefined)(
  `merging on a full file system${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    const temp = useTempFolder('merge-full');
    const at = (name: string): string => join(folder, name);
    const base = at('base.vhd');

    afterEach(() => {
      for (const name of readdirSync(folder)) if (name !== 'lost+found') rmSync(at(name));
    });

    /** The child is where there is room. */
    async function makeChild(byteLength: number, byte?: number): Promise<string> {
      const child = temp.file('child.vhd');
      await createImage(base, { size: SIZE, blockSize: 512 * 1024 });
      await createImage(child, { parent: base, followParents: true, force: true });
      await using disk = await openVhd(child, { writable: true, parentDirs: [folder] });
      const bytes = byte === undefined ? pattern(MIB, 4) : new Uint8Array(MIB).fill(byte);
      for (let position = 0; position < byteLength; position += MIB) await disk.write(bytes, position);
      return child;
    }

    async function contentOf(path: string): Promise<Uint8Array> {
      await using disk = await openVhd(path, { parentDirs: [folder] });
      return await disk.readBytes(0, disk.size);
    }

    it('is refused before anything is written', async () => {
      const child = await makeChild(12 * MIB);
      writeFileSync(at('filler'), pattern(12 * MIB));
      const before = readFileSync(base);
      const { code, stderr } = await vhd(['merge', child, '--parent-dir', folder, '--json']);
      expect(code).toBe(4);
      expect(JSON.parse(stderr)).toMatchObject({ code: 'ERR_VHD_NO_SPACE', path: base });
      expect(firstDifference(readFileSync(base), before)).toBe(-1);
      expect(await readJournal(base)).toBeUndefined();
    });

    it('goes through if what seems to take room is zero', async () => {
      const child = await makeChild(0);
      await using disk = await openVhd(child, { writable: true, parentDirs: [folder] });
      for (let position = 0; position < 12 * MIB; position += MIB) {
        await disk.write(pattern(4096), position);
        await disk.write(new Uint8Array(4096), position);
      }
      await disk.close();
      writeFileSync(at('filler'), pattern(14 * MIB));
      expect(await merge(child, { parentDirs: [folder] })).toMatchObject({ newBlocks: 0, copiedBytes: 0 });
    });

    it('stops when the room is gone in the middle, and is finished when there is room again', async () => {
      const child = await makeChild(12 * MIB);
      const wanted = await contentOf(child);
      const onPlan = (): void => writeFileSync(at('filler'), pattern(14 * MIB));
      await expect(merge(child, { parentDirs: [folder], onPlan })).rejects.toMatchObject({ code: 'ENOSPC' });
      expect(await readJournal(base)).toMatchObject({ verb: 'merge' });
      expect(firstDifference(await contentOf(child), wanted)).toBe(-1);
      await expect(openVhd(base)).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL' });
      rmSync(at('filler'));
      expect(await merge(child, { parentDirs: [folder] })).toMatchObject({ resumed: true });
      expect(firstDifference(await contentOf(base), wanted)).toBe(-1);
    });
  },
);
