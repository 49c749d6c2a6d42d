// What `repair` prints of what it left, and `check --for` of damage, is what `check` prints of the same.
import { mkdir, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { encodeFooter } from '../../../src/format/footer.ts';
import { newFooter } from '../../../src/format/new-footer.ts';
import { check } from '../../../src/ops/check.ts';
import { repair } from '../../../src/ops/repair.ts';
import { buildImage, type ImageShape } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { defects } from '../../support/defects.ts';
import { u64, withFooters } from '../../support/defects-edits.ts';
import { someOf } from '../../support/seed.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('repair-remedies');
const BLOCK = 8192;
const SHAPE: ImageShape = {
  ...{ size: 10 * BLOCK, blockSize: BLOCK },
  blocks: Array.from({ length: 10 }, (_, index) => ({ index, data: pattern(BLOCK, index + 1) })),
};

/** A fixed disk whose guest keeps a VHD at its start, with the largest geometry. */
function nested(): Uint8Array {
  const guest = pattern(1024 ** 2, 9);
  guest.set(buildImage(SHAPE));
  const geometry = { cylinders: 65_535, heads: 16, sectorsPerTrack: 255 };
  const uniqueId = new Uint8Array(16).fill(7);
  const footer = { ...newFooter({ type: 'fixed', size: guest.length, uniqueId, timestamp: 700_000_000 }), geometry };
  return Buffer.concat([guest, encodeFooter(footer)]);
}

async function file(name: string, bytes: Uint8Array): Promise<string> {
  const path = folder.file(name);
  await writeFile(path, bytes);
  return path;
}

describe('what a repair leaves', () => {
  for (const defect of someOf(defects)) {
    it(`of ${defect.name} has the command that check has for it`, async () => {
      const directory = folder.file(defect.name);
      await mkdir(directory);
      const path = `${directory}/disk.vhd`;
      await writeFile(path, defect.image());
      const parent = defect.parent();
      if (parent !== undefined) await writeFile(`${directory}/parent.vhd`, parent);
      const { findings } = await repair(path, { allowBreakingChildren: true });
      const checked = await check(path);
      for (const { rule, remedy } of findings) {
        const isCommand = remedy.startsWith('vhd ');
        const wanted = checked.findings.find((item) => item.rule === rule)?.remedy;
        expect({ rule, remedy: isCommand ? remedy : '' }).toEqual({ rule, remedy: isCommand ? wanted : '' });
        // That was just done.
        expect(remedy).not.toBe(`vhd repair ${path}`);
      }
    });
  }

  it('is not sent back to the command that left it', async () => {
    const path = await file('long.vhd', withFooters(buildImage(SHAPE), u64(48, 5 * BLOCK)));
    const { findings } = await repair(path);
    expect(findings.find(({ rule }) => rule === 'bat.long')?.remedy).toBe(`vhd repair ${path} --drop-blocks`);
    const output = folder.file('copy.vhd');
    const { findings: ofCopy } = await repair(path, { output, footer: 'end' });
    expect(ofCopy.find(({ rule }) => rule === 'bat.long')?.remedy).toBe(
      `vhd repair ${output} --footer end --drop-blocks`,
    );
  });

  it('has no command that would fail behind what nothing mends', async () => {
    const { findings } = await repair(await file('nested.vhd', nested()));
    const remedies = Object.fromEntries(findings.map(({ rule, remedy }) => [rule, remedy]));
    expect(remedies['geometry.maximum']).toBe('nothing mends it while footer.copy-contradicts is not mended');
    expect(remedies['footer.copy-contradicts']).toContain('is data of the disk');
  });
});

describe('what makes an image damaged for every program', () => {
  for (const defect of someOf(defects)) {
    it(`is mended by what mends the cause, of ${defect.name}`, async () => {
      const path = await file(`for-${defect.name}.vhd`, defect.image());
      const { findings } = await check(path, { for: ['azure'] });
      const damage = findings.find(({ rule }) => rule === 'for.azure.damaged');
      const causes = findings.filter(({ severity, rule }) => severity === 'error' && !rule.startsWith('for.'));
      if (damage !== undefined) expect(causes.map(({ remedy }) => remedy)).toContain(damage.remedy);
    });
  }

  it('is told to be beyond repair where the cause is', async () => {
    const { findings } = await check(await file('beyond.vhd', nested()), { for: ['qemu'] });
    const [cause] = findings;
    expect(cause?.rule).toBe('footer.copy-contradicts');
    expect(findings.find(({ rule }) => rule === 'for.qemu.damaged')?.remedy).toBe(cause?.remedy);
    expect(cause?.remedy).not.toMatch(/^vhd repair/);
  });
});
