import { readFile, stat, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { undoPath } from '../../src/open-journal.ts';
import { createImage } from '../../src/ops/create.ts';
import { beginUndo } from '../../src/ops/journal.ts';
import { buildImage } from '../support/build-image.ts';
import { firstDifference } from '../support/bytes.ts';
import { vhd } from '../support/cli.ts';
import { gptDisk, LINUX } from '../support/tables.ts';
import { useTempFolder } from '../support/temp.ts';

const MIB = 1024 ** 2;
const folder = useTempFolder('cli-resize');

async function imageOf(name: string): Promise<string> {
  const path = folder.file(`${name}.vhd`);
  await createImage(path, { size: 4 * MIB });
  await using disk = await openVhd(path, { writable: true });
  await disk.write(gptDisk({ sectorCount: 8192, entries: [{ type: LINUX, first: 2048, last: 4095, name: 'a' }] }), 0);
  return path;
}

async function json(args: readonly string[]): Promise<Record<string, unknown> & { code: number }> {
  const { code, stdout, stderr } = await vhd([...args, '--json']);
  return { code, ...(JSON.parse(stdout === '' ? stderr : stdout) as Record<string, unknown>) };
}

describe('vhd resize', () => {
  it('says what it did and what is left to do inside the guest, and is undone', async () => {
    const path = await imageOf('told');
    const before = await readFile(path);
    const { code, stdout, stderr } = await vhd(['resize', path, '+1G']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`resized ${path}\n`);
    expect(stdout).toMatch(/virtual size +1 GiB \(1077936128 bytes\), before 4 MiB \(4194304 bytes\)/);
    expect(stdout).toMatch(/original size +the same as the virtual size/);
    expect(stdout).toMatch(/GPT +the backup is at the new end/);
    expect(stdout).toMatch(/in the guest +make partition 1 larger: growpart \/dev\/sdX 1/);
    expect(stdout).toContain(`vhd undo ${path}`);
    expect((await vhd(['check', path])).code).toBe(0);
    expect((await vhd(['undo', path])).code).toBe(0);
    expect(firstDifference(await readFile(path), before)).toBe(-1);
  });

  it('has JSON with the names that other verbs have', async () => {
    const path = await imageOf('json');
    const dry = await json(['resize', path, '3M', '--shrink', '--dry-run']);
    const told = {
      schema: 'vhdkit/resize/1',
      changed: true,
      virtualSize: 3 * MIB,
      previousSize: 4 * MIB,
      gpt: 'moved',
    };
    expect(dry).toMatchObject({ code: 0, dryRun: true, ...told });
    const done = await json(['resize', path, '3M', '--shrink']);
    expect(done).toMatchObject({ code: 0, canUndo: true, ...told, copiedBytes: dry['copiedBytes'] });
    expect(done['fileSize']).toBe((await stat(path)).size);
    expect(await json(['resize', path, '3M'])).toMatchObject({ code: 0, changed: false });
    expect((await vhd(['resize', path, '3M'])).stdout).toBe(
      `nothing to do: ${path} has 3 MiB (3145728 bytes) already\n`,
    );
  });

  it('says what to add where it refuses', async () => {
    const path = await imageOf('refused');
    const told = await json(['resize', path, '3M']);
    expect(told).toMatchObject({ code: 'ERR_VHD_SHRINK', exitCode: 3, schema: 'vhdkit/error/1' });
    expect(told['remedy']).toContain(`vhd resize ${path} ${3 * MIB} --shrink`);
    expect((await vhd(['resize', path, '1M', '--shrink'])).stderr).toContain('partition 1 ends at 2097152');
    expect((await vhd(['resize', path, '3T'])).stderr).toContain('--to fixed');
    expect((await vhd(['resize', path, '+9007199254740480'])).code).toBe(3);
    for (const [args, words] of [
      [[path], 'no size: expected one such as 64G, +10G, or --round 1M'],
      [[path, '1000'], 'did you mean 1000M or 1000G?'],
      [[path, '+20GB'], 'write 20G (21474836480) or 20000000000'],
      [[path, '5M', '--force'], '--force: is for -o'],
      [[path, '5M', '-o', 'new.raw'], 'resize makes VHDs'],
      [[path, '5M', '-o', 'new.vhdx'], 'it is named .vhdx, and resize makes VHDs'],
      [[path, '5M', '-o', 'new.vhd.gz'], 'it is named .gz, and resize makes VHDs'],
      [['-', '5M'], 'resize needs files'],
    ] as const) {
      const { code, stderr } = await vhd(['resize', ...args]);
      expect([code, stderr]).toEqual([2, expect.stringContaining(words)]);
    }
  });

  it('rounds, also a size that is no whole number of sectors, and any that is given', async () => {
    const path = folder.file('odd.vhd');
    await writeFile(path, buildImage({ size: MIB - 100, blockSize: 65_536, blocks: [{ index: 15, data: 7 }] }));
    expect((await vhd(['resize', path, '+1M'])).stderr).toContain(`vhd resize ${path} --round 512`);
    expect(await json(['resize', path, '--round', '512'])).toMatchObject({ virtualSize: MIB, previousSize: MIB - 100 });
    await using disk = await openVhd(path);
    expect(await disk.readBytes(MIB - 612, 512)).toEqual(new Uint8Array(512).fill(7));
    expect(await disk.readBytes(MIB - 100, 100)).toEqual(new Uint8Array(100));
    await disk.close();
    expect(await json(['resize', path, '3000001', '--round', '1M'])).toMatchObject({ virtualSize: 3 * MIB });
  });

  it('that was killed is finished by the command that is printed, without a size', async () => {
    const path = await imageOf('begun');
    await vhd(['resize', path, '9M']);
    const after = await readFile(path);
    await vhd(['undo', path]);
    const before = await readFile(path);
    await vhd(['resize', path, '9M']);
    await beginUndo(path);
    // Nothing of it was done yet when it was killed.
    await writeFile(path, before);
    const { remedy } = await json(['resize', path, '9M', '--dry-run']);
    expect(remedy).toBe(`vhd resize ${path}   (finishes it)`);
    const { code, stdout } = await vhd(['resize', path]);
    expect([code, stdout]).toEqual([0, expect.stringContaining(`finished what was begun: ${path} has 9 MiB`)]);
    expect(firstDifference(await readFile(path), after)).toBe(-1);
    expect((await stat(undoPath(path))).isFile()).toBe(true);
  });

  it('writes a new image with -o, and replaces one only with --force', async () => {
    const path = await imageOf('source');
    const output = folder.file('new.vhd');
    const before = await readFile(path);
    expect((await vhd(['resize', path, '8M', '-o', output])).stdout).toContain(`wrote ${output}`);
    expect((await vhd(['resize', path, '9M', '-o', output])).code).toBe(2);
    expect(await json(['resize', path, '9M', '-o', output, '--force'])).toMatchObject({ path: output, canUndo: false });
    await using disk = await openVhd(output);
    expect(disk.size).toBe(9 * MIB);
    expect((await disk.readBytes(disk.size - 512, 8)).toString()).toBe(Buffer.from('EFI PART').toJSON().data.join(','));
    expect((await vhd(['check', output])).code).toBe(0);
    expect(firstDifference(await readFile(path), before)).toBe(-1);
  });
});
