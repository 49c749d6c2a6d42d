/**
 * `npm run build && npx tsx test/bench/chains.ts [DIR] [ROUNDS] [MEBIBYTES]`: how fast chains of 10 and 200 images are read from the first byte
 * to the last, held against one image with the same bytes, in one process and in turn. DIR decides the file system (default:
 * /dev/shm where there is one).
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type * as vhdkit from '../../src/index.ts';
import { median } from '../../src/ops/median.ts';
import { piecesOf, readAhead } from '../../src/stream/read-ahead.ts';
import { pattern } from '../support/bytes.ts';
import { Random } from '../support/seed.ts';

// What is shipped: what `tsx` makes of the sources is slower.
const built = new URL('../../dist/index.js', import.meta.url).href;
const { openVhd, convert, createImage } = (await import(built)) as typeof vhdkit;

const KIB = 1024;
const BLOCK = 2 * KIB * KIB;

/** A chain: a full base, and children that each own a share of the disk, in runs of one length anywhere. */
interface Scenario {
  readonly links: number;
  readonly share: number;
  readonly runBytes: number;
}

const SCENARIOS: readonly Scenario[] = [BLOCK, 64 * KIB, 4 * KIB].flatMap((runBytes) => [
  { links: 10, share: 0.1, runBytes },
  { links: 200, share: 0.01, runBytes },
]);

const [base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), rounds = '9', mebibytes = '1024'] = process.argv.slice(2);
const size = Number(mebibytes) * KIB * KIB;
for (const scenario of SCENARIOS) {
  const directory = mkdtempSync(join(resolve(base), 'vhdkit-bench-'));
  try {
    process.stdout.write(await measure(directory, scenario, Number(rounds)));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
process.stdout.write(`peak memory of all of it: ${Math.round(process.resourceUsage().maxRSS / KIB)} MiB\n`);

async function measure(directory: string, scenario: Scenario, count: number): Promise<string> {
  const chain = await makeChain(directory, scenario);
  const flat = join(directory, 'flat.vhd');
  await convert(chain, flat, { to: 'dynamic' });
  const figures = { chain: [] as Reading[], flat: [] as Reading[] };
  for (let round = -1; round < count; round++) {
    const [ofChain, ofFlat] = [await readAll(chain), await readAll(flat)];
    // The first is for the compiler.
    if (round < 0) continue;
    figures.chain.push(ofChain);
    figures.flat.push(ofFlat);
  }
  const of = (readings: readonly Reading[], what: keyof Reading): number => median(readings.map((it) => it[what]));
  const ratio = (what: keyof Reading): string => (of(figures.flat, what) / of(figures.chain, what)).toFixed(2);
  const speed = Math.round(size / KIB / KIB / of(figures.chain, 'seconds'));
  const { links, share, runBytes } = scenario;
  return (
    `${links} links, ${share * 100} % each in runs of ${runBytes / KIB} KiB: ${speed} MiB/s, ` +
    `${ratio('seconds')} times as fast as one image (by processor time ${ratio('cpuSeconds')})\n`
  );
}

interface Reading {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

async function readAll(path: string): Promise<Reading> {
  await using disk = await openVhd(path);
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  for await (const piece of readAhead(disk, piecesOf(0, disk.size))) piece.release();
  const seconds = (performance.now() - startedAt) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { seconds, cpuSeconds: (user + system) / 1e6 };
}

/** Makes the chain, the base first; returns the path of the last child. */
async function makeChain(directory: string, { links, share, runBytes }: Scenario): Promise<string> {
  const random = new Random(links + runBytes);
  const bytes = pattern(BLOCK, 1);
  const nameOf = (link: number): string => join(directory, `${link}.vhd`);
  for (let link = 0; link < links; link++) {
    const path = nameOf(link);
    if (link === 0) await createImage(path, { size });
    else await createImage(path, { parent: nameOf(link - 1) });
    await using disk = await openVhd(path, { writable: true });
    if (link === 0) for (let position = 0; position < size; position += BLOCK) await disk.write(bytes, position);
    else {
      for (let count = Math.ceil((size * share) / runBytes); count > 0; count--) {
        await disk.write(bytes.subarray(0, runBytes), random.below(size / runBytes) * runBytes);
      }
    }
  }
  return nameOf(links - 1);
}
