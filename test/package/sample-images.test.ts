// The images of samples/: always the same bytes, and our command says of each what the table in samples/README.md claims.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type InfoReport, listPartitions, openDisk, openVhd } from 'vhdkit';
import { describe, expect, it } from 'vitest';
import { fatDisk, HELLO } from '../../samples/images/fat-disk.ts';
import { makeImages } from '../../samples/images/make.ts';
import { vhd } from '../support/cli.ts';

const folder = join(import.meta.dirname, '../../samples');
const image = (name: string): string => join(folder, 'images', name);

/** What the table says of an image: rules of findings, and the exit code of `info`. */
interface Claim {
  readonly name: string;
  readonly rules: readonly string[];
  readonly exitCode: number;
}

/** The rows of the table of images. */
function claimsIn(readme: string): Claim[] {
  const rows = readme.matchAll(/^\| \[([\w-]+\.vhd)\]\(images\/\1\) \|[^|]+\|([^|]+)\|([^|]+)\|$/gm);
  return [...rows].map(([, name, says, exit]) => ({
    name: name!,
    rules: [...says!.matchAll(/`(\w+\.[\w-]+)`/g)].map(([, rule]) => rule!),
    exitCode: Number(exit),
  }));
}

describe('the images of samples/', async () => {
  const made = await makeImages();
  const claims = claimsIn(await readFile(join(folder, 'README.md'), 'utf8'));
  const names = (await readdir(join(folder, 'images'))).filter((name) => name.endsWith('.vhd')).sort();

  it('are those that are made, and those that are told of', () => {
    expect([...made.keys()].sort()).toEqual(names);
    expect(claims.map((claim) => claim.name).sort()).toEqual(names);
  });

  it.each(names)('%s is small and the same as ever', async (name) => {
    const committed = await readFile(image(name));
    expect(committed.length).toBeLessThanOrEqual(20_000);
    expect(committed.equals(made.get(name)!)).toBe(true);
  });

  it.each(claims)('$name: info says $rules and ends with $exitCode', async ({ name, rules, exitCode }) => {
    const result = await vhd(['info', '--json', image(name)]);
    const report = JSON.parse(result.stdout) as InfoReport;
    const found = report.findings.map((item) => item.rule).filter((rule) => rule !== 'geometry.size');
    expect(found.sort()).toEqual([...rules].sort());
    expect(result.code).toBe(exitCode);
    const hasNote = report.findings.some((item) => item.rule === 'geometry.size');
    expect(hasNote).toBe(!name.includes('4g'));
  });

  it.each(['fixed-fat12', 'dynamic-fat12', 'legacy-511', 'footer-lost'])('%s holds the disk', async (name) => {
    const { disk } = await openDisk(image(`${name}.vhd`));
    const content = Buffer.alloc(disk.size);
    await disk.read(content, 0);
    await disk.close();
    expect(content.equals(fatDisk())).toBe(true);
    expect(content.toString('latin1', 12 * 512, 12 * 512 + HELLO.length)).toBe(HELLO);
  });

  it('fixed-fat12.vhd has a partition with a file system', async () => {
    await using disk = await openVhd(image('fixed-fat12.vhd'));
    const { scheme, partitions, findings } = await listPartitions(disk);
    expect({ scheme, findings }).toEqual({ scheme: 'mbr', findings: [] });
    expect(partitions).toMatchObject([
      { number: 1, start: 4096, length: 12288, type: '0x01', fileSystem: { version: 'FAT12', label: 'VHDKIT' } },
    ]);
  });

  it('child-of-4g.vhd names dynamic-4g.vhd', async () => {
    const told = (await vhd(['info', '--json', image('child-of-4g.vhd')])).stdout;
    const { parent, chain, readable } = JSON.parse(told) as InfoReport;
    expect([readable, chain?.map(({ path }) => path)]).toEqual([
      true,
      [image('child-of-4g.vhd'), image('dynamic-4g.vhd')],
    ]);
    await using disk = await openVhd(image('dynamic-4g.vhd'));
    const uuid = Buffer.from(disk.footer.uniqueId).toString('hex');
    expect(parent?.name).toBe('dynamic-4g.vhd');
    expect(parent?.uuid.replaceAll('-', '')).toBe(uuid);
    expect([disk.size, disk.allocatedBytes]).toEqual([4 * 2 ** 30, 0]);
  });

  it('footers-disagree.vhd opens when it is said which one is right', async () => {
    for (const footer of ['start', 'end'] as const) {
      await using disk = await openVhd(image('footers-disagree.vhd'), { footer });
      expect(Buffer.from(await disk.readBytes(0, disk.size)).equals(fatDisk())).toBe(true);
    }
  });

  it('bad-checksum.vhd is refused', async () => {
    await expect(openVhd(image('bad-checksum.vhd'))).rejects.toMatchObject({ code: 'ERR_VHD_CORRUPT' });
  });

  it('cut-short.vhd gives its first block and no other', async () => {
    await using disk = await openVhd(image('cut-short.vhd'));
    expect(Buffer.from(await disk.readBytes(0, 4096)).equals(fatDisk().subarray(0, 4096))).toBe(true);
    await expect(disk.readBytes(4096, 512)).rejects.toMatchObject({ code: 'ERR_VHD_CORRUPT', rule: 'bat.out-of-file' });
  });

  it('stale-sectors.vhd gives every sector but one', async () => {
    const path = image('stale-sectors.vhd');
    await using disk = await openVhd(path);
    await expect(disk.readBytes(12 * 512, 512)).rejects.toMatchObject({ code: 'ERR_VHD_BITMAP' });
    expect(Buffer.from(await disk.readBytes(0, 12 * 512)).equals(fatDisk().subarray(0, 12 * 512))).toBe(true);
    await using honest = await openVhd(path, { bitmap: 'ignore' });
    expect(Buffer.from(await honest.readBytes(12 * 512, HELLO.length)).toString()).toBe(HELLO);
    await using zeros = await openVhd(path, { bitmap: 'honour' });
    expect(await zeros.readBytes(12 * 512, 512)).toEqual(new Uint8Array(512));
  });
});
