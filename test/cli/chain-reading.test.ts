import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { InfoReport } from '../../src/ops/info.ts';
import { CHAIN_BLOCK_BYTES, CHAIN_DISK_BYTES, writeChainFile } from '../support/chain-files.ts';
import { vhd } from '../support/cli.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-chains');
const at = (name: string): string => folder.file(`it/${name}`);

/** `snap/child.vhd` over `snap/middle.vhd` over `base/base.vhd`: a block of each. */
function makeChain(timestamp?: number): void {
  writeChainFile(at('base/base.vhd'), { id: 1, block: 0 });
  const middle = { id: 1, locators: [['W2ru', '..\\base\\base.vhd']] } as const;
  writeChainFile(at('snap/middle.vhd'), { id: 2, block: 1, parent: middle });
  const stamp = timestamp === undefined ? {} : { timestamp };
  const child = { id: 2, locators: [['W2ru', '.\\middle.vhd']], ...stamp } as const;
  writeChainFile(at('snap/child.vhd'), { id: 3, block: 2, parent: child });
}

const EXPECTED = Buffer.alloc(CHAIN_DISK_BYTES);
for (const block of [0, 1, 2]) {
  EXPECTED.fill(block + 1, block * CHAIN_BLOCK_BYTES, (block + 1) * CHAIN_BLOCK_BYTES);
}
const base = (): string[] => ['--parent-dir', at('base')];

beforeEach(() => {
  rmSync(at('.'), { recursive: true, force: true });
  mkdirSync(at('.'));
  makeChain();
});

describe('a chain', () => {
  it('is read where its parents may be, and not else', async () => {
    const refused = await vhd(['read', at('snap/child.vhd')]);
    expect([refused.code, refused.stdout]).toEqual([3, '']);
    expect(refused.stderr).toContain(`vhd: ${at('snap/middle.vhd')}: its parent may lie outside its directory`);
    const here = relative(process.cwd(), at('base'));
    expect(refused.stderr).toContain(`\n     add --parent-dir ${here.length < at('base').length ? here : at('base')} `);
    for (const flags of [base(), ['--follow-parents'], ['--parent-dir', at('snap'), ...base()]]) {
      const { code, bytes } = await vhd(['read', at('snap/child.vhd'), ...flags]);
      expect([code, EXPECTED.equals(bytes)]).toEqual([0, true]);
    }
  });

  it('tells of the failure in JSON', async () => {
    const { code, stderr } = await vhd(['read', at('snap/child.vhd'), '--json', '-o', at('x.raw')]);
    expect(code).toBe(3);
    expect(JSON.parse(stderr)).toMatchObject({
      schema: 'vhdkit/error/1',
      code: 'ERR_VHD_PARENT_OUTSIDE',
      path: at('snap/middle.vhd'),
      expected: 'an image with identifier 01010101-0101-0101-0101-010101010101',
      exitCode: 3,
    });
  });

  it.each(['raw', 'fixed', 'dynamic'])('is flattened by convert to %s', async (to) => {
    const target = at('flat.bin');
    expect(await vhd(['convert', at('snap/child.vhd'), target, '--to', to, ...base()])).toMatchObject({ code: 0 });
    const { bytes } = await vhd(['read', target, '--from', to === 'raw' ? 'raw' : 'vhd']);
    expect(EXPECTED.equals(bytes)).toBe(true);
  });

  it.each([
    ['snap/middle.vhd', []],
    ['base/base.vhd', []],
    ['base/base.vhd', ['--allow-breaking-children']],
    ['snap/child.vhd', []],
  ])('has no target in it: %s %j', async (target, flags) => {
    const before = readFileSync(at(target));
    for (const call of [
      ['convert', at('snap/child.vhd'), at(target)],
      ['read', at('snap/child.vhd'), '-o', at(target)],
    ]) {
      const { code, stderr } = await vhd([...call, ...base(), '--force', ...flags]);
      expect([code, stderr]).toEqual([2, expect.stringMatching(/a parent of the source|the same file/)]);
      expect(readFileSync(at(target)).equals(before)).toBe(true);
    }
    const drawn = await vhd(['map', at('snap/child.vhd'), '--svg', at(target), ...base(), '--force']);
    expect([drawn.code, readFileSync(at(target)).equals(before)]).toEqual([2, true]);
  });

  it('is mapped with the depth that decides', async () => {
    const { code, stdout } = await vhd(['map', at('snap/child.vhd'), '--json', ...base()]);
    expect(code).toBe(0);
    const report = JSON.parse(stdout) as { chain: string[]; runs: { start: number; kind: string; depth: number }[] };
    expect(report.chain).toEqual([at('snap/child.vhd'), at('snap/middle.vhd'), at('base/base.vhd')]);
    expect(report.runs.map(({ kind, depth }) => `${kind} ${depth}`)).toEqual(['data 2', 'data 1', 'data 0', 'zero 2']);
    const table = await vhd(['map', at('snap/child.vhd'), '--table', ...base()]);
    expect(table.stdout).toMatch(/^ *16384 +16384 +data +\d+ +1$/m);
    const picture = await vhd(['map', at('snap/child.vhd'), ...base()]);
    expect(picture.stdout).toMatch(/^ {2}in a parent +32 KiB/m);
  });

  it('is written to in the child', async () => {
    const before = [readFileSync(at('snap/middle.vhd')), readFileSync(at('base/base.vhd'))];
    const call = ['write', at('snap/child.vhd'), '--start', '100', ...base()];
    expect(await vhd(call, { stdin: Buffer.alloc(700, 9) })).toMatchObject({ code: 0 });
    const expected = Buffer.from(EXPECTED).fill(9, 100, 800);
    const { bytes } = await vhd(['read', at('snap/child.vhd'), ...base()]);
    expect(expected.equals(bytes)).toBe(true);
    expect([readFileSync(at('snap/middle.vhd')), readFileSync(at('base/base.vhd'))]).toEqual(before);
  });

  it('with another time stamp is told, or refused with --strict-parent', async () => {
    makeChain(600_000_000);
    const told = await vhd(['read', at('snap/child.vhd'), ...base()]);
    expect([told.code, told.stderr]).toEqual([
      0,
      expect.stringMatching(/^vhd: warning: .*child\.vhd: the parent .*middle\.vhd has another time stamp/),
    ]);
    const refused = await vhd(['read', at('snap/child.vhd'), '--strict-parent', ...base()]);
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining('has another time stamp')]);
  });

  it('of blktap with a raw base wants --allow-raw-parent', async () => {
    await writeFile(at('raw.img'), Buffer.alloc(CHAIN_DISK_BYTES, 7));
    writeChainFile(at('c.vhd'), { id: 3, parent: { id: 0, locators: [['MacX', 'file://./raw.img']] } });
    const refused = await vhd(['read', at('c.vhd'), '--length', '1']);
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining('add --allow-raw-parent')]);
    const { code, stdout } = await vhd(['read', at('c.vhd'), '--length', '1', '--allow-raw-parent']);
    expect([code, stdout]).toEqual([0, '\u0007']);
  });
});

describe('info of a chain', () => {
  it('has every link', async () => {
    const { code, stdout } = await vhd(['info', '--json', at('snap/child.vhd'), ...base()]);
    expect(code).toBe(0);
    const { chain, ...report } = JSON.parse(stdout) as InfoReport;
    expect(report).toMatchObject({ readable: true, chainProblem: null, partitions: [] });
    const [child, middle, last] = [at('snap/child.vhd'), at('snap/middle.vhd'), at('base/base.vhd')];
    const uuid = (digit: number): string => '01010101-0101-0101-0101-010101010101'.replaceAll('1', String(digit));
    const fileSize = (path: string): number => readFileSync(path).length;
    const virtualSize = CHAIN_DISK_BYTES;
    expect(chain).toEqual([
      { path: child, type: 'differencing', uuid: uuid(3), virtualSize, fileSize: fileSize(child) },
      { path: middle, type: 'differencing', uuid: uuid(2), virtualSize, fileSize: fileSize(middle) },
      { path: last, type: 'dynamic', uuid: uuid(1), virtualSize, fileSize: fileSize(last) },
    ]);
    const text = await vhd(['info', at('snap/child.vhd'), ...base()]);
    expect(text.stdout).toContain(`  chain           1: ${middle}, differencing, 64 KiB\n`);
    expect(text.stdout).toContain(`  chain           2: ${last}, dynamic, 64 KiB\n`);
  });

  it('tells what it can without the parent, and ends with 3', async () => {
    const { code, stdout, stderr } = await vhd(['info', '--json', at('snap/child.vhd')]);
    expect([code, stderr]).toEqual([3, '']);
    const report = JSON.parse(stdout) as InfoReport;
    expect(report).toMatchObject({
      type: 'differencing',
      virtualSize: CHAIN_DISK_BYTES,
      allocatedBlocks: 1,
      readable: false,
      partitions: null,
      chainProblem: {
        code: 'ERR_VHD_PARENT_OUTSIDE',
        remedy: expect.stringContaining('add --parent-dir') as string,
      },
    });
    expect(report.chain?.map(({ path }) => path)).toEqual([at('snap/child.vhd'), at('snap/middle.vhd')]);
    expect(report.findings).toEqual([expect.objectContaining({ rule: 'parent.unavailable', severity: 'warning' })]);
    const text = await vhd(['info', at('snap/child.vhd')]);
    expect([text.code, text.stdout]).toEqual([
      3,
      expect.stringMatching(/^ {2}chain +2: not to be had; add --parent-dir/m),
    ]);
  });

  it('shows the ends of a long one', async () => {
    for (let id = 4; id < 30; id++) {
      const parent = { id: id - 1, name: id === 4 ? 'child.vhd' : `${id - 1}.vhd` };
      writeChainFile(at(`snap/${id}.vhd`), { id, parent });
    }
    const { stdout } = await vhd(['info', at('snap/29.vhd'), ...base()]);
    expect(stdout.match(/^ {2}chain /gm)).toHaveLength(12);
    expect(stdout).toContain('… and 17 more');
    expect(stdout).toContain(`28: ${at('base/base.vhd')}`);
  });
});
