// What is told of other programs, held against what they do. Their verdicts on images with one defect are recorded (in
// check-for-recorded.json) because running them takes minutes; VHDKIT_READERS=run runs them on every image, and
// VHDKIT_READERS=record writes down what they do. By default they are run on a few.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { openVhdStorage } from '../../src/disk/open-storage.ts';
import { VhdError } from '../../src/errors.ts';
import { READERS } from '../../src/format/reader-facts.ts';
import { check } from '../../src/ops/check.ts';
import type { CheckReport } from '../../src/ops/check-report.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { defectiveFixedImages, defectiveImages, otherImages } from '../support/check-for-defects.ts';
import { describeWithPeers, runPeer } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';
import { INSTALLED, type Installed, type Seen, seenBy } from './check-for-peers.ts';
import { rawDigest } from './digests.ts';

const RECORD = new URL('check-for-recorded.json', import.meta.url);
const HOW = process.env['VHDKIT_READERS'];
/** Run by default: of each kind of verdict one. */
const SOME = [
  ...['none', 'creator "vbox"', 'hidden', 'original size', 'fixed: slack 4096', 'features 0x80000000'],
  ...['aligned, size -512 at the start', 'aligned, half the size at the start', 'aligned, reserved at the start'],
];

/** What a program made of an image: the size and the digest, each null if there is none, and whether it complained. */
type Verdict = readonly [size: number | null, sha256: string | null, complained: boolean];
type Recorded = Record<string, Record<Installed, Verdict>>;

/**
 * Where a program does better than is told of it, and why that is all right. What is refused here (`damaged`) is none of
 * these: nobody knows what would be right.
 */
const BETTER: Readonly<Record<string, string>> = {
  'libvhdi: bits clear': 'zeros where all bits of a block are clear, as it should; a single one it does not see',
};

const images = new Map([...defectiveImages(), ...defectiveFixedImages(), ...otherImages()]);
const recorded = HOW === 'record' ? {} : (JSON.parse(readFileSync(RECORD, 'utf8')) as Recorded);

describe.skipIf(HOW === 'record')('what is told of a program is what it does, recorded', () => {
  for (const [name, bytes] of images) {
    test(name, async () => {
      const storage = new MemoryStorage(Uint8Array.from(bytes));
      const report = await check(storage, { for: INSTALLED });
      const ours = await contentOf(imageIn(bytes, report));
      const verdicts = recorded[name];
      if (verdicts === undefined) throw new Error('not recorded: VHDKIT_READERS=record');
      for (const program of INSTALLED) {
        const [size, sha256, complained] = verdicts[program];
        const isRight = size === ours?.size && sha256 === short(ours.sha256);
        const told = { program, accepted: report.acceptedBy?.includes(program), rules: rulesFor(report, program) };
        if (told.rules.includes(`for.${program}.damaged`) && isDamaged(report)) continue;
        const expected = isRight && BETTER[`${program}: ${name}`] === undefined;
        expect({ ...told, size, complained }).toMatchObject({ program, accepted: expected });
        if (complained && isRight) expect(told.rules.length).toBeGreaterThan(0);
      }
    });
  }
});

/** Damage that has a rule of its own for everybody. */
function isDamaged(report: CheckReport): boolean {
  return report.findings.some(({ rule, severity }) => severity === 'error' && !rule.startsWith('for.'));
}

function rulesFor(report: CheckReport, program: string): string[] {
  return report.findings.map(({ rule }) => rule).filter((rule) => rule.startsWith(`for.${program}.`));
}

/** The file up to its footer. */
function imageIn(bytes: Buffer, report: CheckReport): Buffer {
  const displaced = report.findings.find(({ rule }) => rule === 'footer.displaced');
  return displaced?.offset === undefined ? bytes : bytes.subarray(0, displaced.offset + 512);
}

/** What an image holds, as it is read here; undefined if it is refused. */
async function contentOf(bytes: Buffer): Promise<{ size: number; sha256: string } | undefined> {
  try {
    await using disk = await openVhdStorage(new MemoryStorage(Uint8Array.from(bytes)), { bitmap: 'honour' });
    if (disk.size > 64 * 1024 * 1024) return undefined;
    return disk.size === 0 ? { size: 0, sha256: createHash('sha256').digest('hex') } : await rawDigest(disk);
  } catch (error) {
    if (error instanceof VhdError) return undefined;
    throw error;
  }
}

function short(sha256: string): string {
  return sha256.slice(0, 16);
}

function verdictOf({ size, sha256, complaint }: Seen): Verdict {
  return [size ?? null, sha256 === undefined ? null : short(sha256), size !== undefined && complaint !== ''];
}

describeWithPeers(['qemu-img', '7z', 'vhdiinfo', 'vhdimount'], 'the programs do what is recorded', () => {
  const temp = useTempFolder('readers');
  const now: Recorded = {};

  for (const [name, bytes] of images) {
    if (HOW === undefined && !SOME.includes(name)) continue;
    test(name, async () => {
      const path = temp.file('disk.vhd');
      await writeFile(path, bytes);
      const verdicts = await Promise.all(INSTALLED.map(async (program) => verdictOf(await seenBy(program, path))));
      const [qemu, sevenZip, libvhdi] = verdicts;
      if (qemu === undefined || sevenZip === undefined || libvhdi === undefined) throw new Error('three programs');
      now[name] = { qemu, '7zip': sevenZip, libvhdi };
      if (HOW !== 'record') expect(now[name]).toEqual(recorded[name]);
    });
  }

  test.runIf(HOW === 'record')('write it down', async () => {
    const lines = Object.entries(now).map(
      ([name, verdicts]) => `  ${JSON.stringify(name)}: ${JSON.stringify(verdicts)}`,
    );
    await writeFile(RECORD, `{\n${lines.join(',\n')}\n}\n`);
  });
});

describeWithPeers(['qemu-img', 'qemu-io', '7z', 'vhdiinfo', 'vhdimount'], 'images by qemu-img', () => {
  const temp = useTempFolder('readers-qemu');
  const made = [1024 * 1024, 10 * 1024 * 1024 + 512, 20 * 1024 * 1024].flatMap((size) =>
    ['dynamic', 'fixed'].flatMap((type) => ['on', 'off'].map((force) => ({ size, type, force }))),
  );
  for (const [index, { size, type, force }] of made.entries()) {
    if (HOW === undefined && index % 5 !== 1) continue;
    test(`${size} bytes, ${type}, force_size=${force}`, async () => {
      const path = temp.file(`${index}.vhd`);
      const options = `subformat=${type},force_size=${force}`;
      await runPeer('qemu-img', ['create', '-f', 'vpc', '-o', options, path, String(size)]);
      await runPeer('qemu-io', ['-f', 'vpc', '-c', 'write -P 65 4k 64k', path]);
      const report = await check(path, { for: INSTALLED });
      const ours = await contentOf(await readFile(path));
      for (const program of INSTALLED) {
        const seen = await seenBy(program, path);
        const isRight = seen.size === ours?.size && seen.sha256 === ours?.sha256;
        expect({ program, accepted: report.acceptedBy?.includes(program) }).toEqual({ program, accepted: isRight });
      }
    });
  }
});

test('the programs are those that are told of', () => {
  expect(READERS).toEqual(expect.arrayContaining([...INSTALLED]));
});
