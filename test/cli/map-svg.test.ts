import { describe, expect, it } from 'vitest';
import type { RunSink } from '../../bin/map-cells.ts';
import { PartFill } from '../../bin/map-partitions.ts';
import { SvgViews } from '../../bin/map-svg.ts';
import type { MappedImage } from '../../bin/map-text.ts';
import { fitText, wrapText, xmlText } from '../../bin/svg.ts';
import type { DiskContents, Partition } from '../../src/inspect/partition-table.ts';
import type { MapRun } from '../../src/ops/map.ts';
import { MapCounter } from '../../src/ops/map-figures.ts';
import { parseXml, type XmlElement } from '../support/xml.ts';

const MiB = 1024 ** 2;
const GiB = 1024 ** 3;
const BLOCK = 2 * MiB;

function imageOf(virtualSize: number, rest: Partial<MappedImage> = {}): MappedImage {
  return {
    path: 'a/disk.vhd',
    type: 'dynamic',
    virtualSize,
    fileSize: virtualSize,
    start: 0,
    length: virtualSize,
    ...rest,
  };
}

function partition(number: number, start: number, length: number, rest: Partial<Partition> = {}): Partition {
  return {
    number,
    start,
    length,
    type: '0x83',
    typeName: 'Linux',
    name: null,
    uuid: null,
    flags: [],
    alignment: MiB,
    fileSystem: null,
    ...rest,
  };
}

function contentsOf(partitions: readonly Partition[]): DiskContents {
  return { scheme: 'gpt', diskId: null, partitions, fileSystem: null, findings: [] };
}

interface Drawn {
  readonly text: string;
  readonly elements: XmlElement[];
  readonly words: string;
}

/** Draws a disk and holds the picture to what every picture must be. */
function draw(image: MappedImage, runs: Iterable<MapRun>, contents?: DiskContents): Drawn {
  const counter = new MapCounter();
  const fill = new PartFill(contents, image.virtualSize);
  const views = new SvgViews(image);
  const sinks: RunSink[] = [counter, fill, views];
  let problem;
  for (const run of runs) {
    for (const sink of sinks) sink.add(run);
    problem ??= run.problem;
  }
  const text = views.text(counter.figures, fill, problem);
  expect(text.length).toBeLessThan(300_000);
  expect(text).not.toMatch(/NaN|undefined|Infinity/);
  const elements = parseXml(text);
  return { text, elements, words: elements.map((element) => element.text).join('\n') };
}

function data(start: number, length: number, fileOffset: number): MapRun {
  return { start, length, kind: 'data', depth: 0, fileOffset };
}

function zero(start: number, length: number): MapRun {
  return { start, length, kind: 'zero', depth: 0, fileOffset: null };
}

/** Blocks of a disk that is full, each somewhere else in the file. */
function* scattered(blockCount: number): Generator<MapRun> {
  let place = 1;
  for (let index = 0; index < blockCount; index++) {
    place = (place * 48_271) % 2_147_483_647;
    yield data(index * BLOCK, BLOCK, (place % blockCount) * BLOCK);
  }
}

describe('the picture of a disk', () => {
  it('shows name, sizes and what they add up to', () => {
    const { words } = draw(imageOf(GiB), [data(0, BLOCK, 4096), zero(BLOCK, GiB - BLOCK)]);
    for (const word of [
      'disk.vhd',
      'dynamic VHD · 1 GiB virtual · 1 GiB file',
      '2 MiB',
      '1022 MiB',
      'Slices of 1 MiB',
    ]) {
      expect(words).toContain(word);
    }
    expect(words).not.toContain('a/');
  });

  it('has light and dark colours, and rules that reach no further than the picture', () => {
    const { elements } = draw(imageOf(GiB), [zero(0, GiB)]);
    const style = elements.find((element) => element.name === 'style')?.text ?? '';
    expect(style).toContain('prefers-color-scheme: dark');
    for (const [selector = ''] of style.matchAll(/^[^@{}\n]+(?= \{)/gm)) expect(selector).toMatch(/^\.vhd-map /);
  });

  it('draws an empty disk empty', () => {
    const { elements, words } = draw(imageOf(127 * GiB, { fileSize: 1536 }), [zero(0, 127 * GiB)]);
    const classes = new Set(elements.map((element) => element.attributes.get('class')));
    expect([...classes].filter((name) => /^[dps]\d$/.test(name ?? '') && name !== undefined)).toHaveLength(4);
    expect(words).toContain('Nothing of this is stored in the file.');
  });

  it('is no larger for the largest and most fragmented disk', () => {
    const blockCount = 1_044_480;
    const { words } = draw(imageOf(blockCount * BLOCK), scattered(blockCount));
    expect(words).toContain(String(blockCount));
  });

  it('stays in its bounds where every slice, dot and partition is drawn', () => {
    const blockCount = 20_000;
    const size = blockCount * BLOCK;
    const parts = Array.from({ length: 200 }, (_, index) =>
      partition(index + 1, (index * size) / 200, size / 200, { name: 'm'.repeat(36) }),
    );
    const runs = [...scattered(blockCount)].filter((_, index) => index % 3 !== 1);
    expect(draw(imageOf(size), runs, contentsOf(parts)).words).toContain('and 188 more partitions');
  });

  it('shows the partitions, also those too narrow for a label', () => {
    const parts = [
      partition(1, MiB, MiB, { name: 'tiny' }),
      partition(2, 8 * GiB, 8 * GiB, { fileSystem: { type: 'ext4', version: null, label: 'root', uuid: null } }),
    ];
    const { elements, words } = draw(imageOf(16 * GiB), [data(8 * GiB, GiB, 4096)], contentsOf(parts));
    for (const word of ['1 Linux "tiny"', '2 ext4 "root"', '12.5 %', '0 %']) expect(words).toContain(word);
    const boxes = elements.filter((element) => element.name === 'svg').slice(1);
    expect(boxes.map((box) => Number(box.attributes.get('width')))).toEqual([1.5, 416]);
  });

  it('names a file system that fills the disk', () => {
    const fileSystem = { type: 'ntfs', version: null, label: 'data', uuid: null };
    const contents: DiskContents = { scheme: 'none', diskId: null, partitions: [], fileSystem, findings: [] };
    expect(draw(imageOf(GiB), [zero(0, GiB)], contents).words).toContain('ntfs "data"');
  });

  it('draws what is not known as that, never as empty', () => {
    const problem = { code: 'ERR_VHD_CORRUPT', message: 'a block lies past the end', offset: 1, remedy: null } as const;
    const unknown: MapRun = { start: 0, length: 512, kind: 'unknown', depth: 0, fileOffset: null, problem };
    const { elements, words } = draw(imageOf(127 * GiB), [unknown, zero(512, 127 * GiB - 512)]);
    expect(words).toContain('512 bytes cannot be told, the image is damaged: a block lies past the end');
    // In the strip, in the grid and in the legend.
    expect(elements.filter((element) => element.attributes.get('fill') === 'url(#vhd-map-unknown)')).toHaveLength(3);
  });

  it('tells data of parents from that of the image', () => {
    const { elements, words } = draw(imageOf(GiB), [{ ...data(0, GiB / 2, 4096), depth: 1 }]);
    expect(words).toContain('512 MiB in a parent');
    expect(elements.some((element) => element.attributes.get('class') === 'p4')).toBe(true);
  });

  it('says of a disk that lies one to one in its file that it does', () => {
    for (const type of ['raw', 'fixed']) {
      expect(draw(imageOf(GiB, { type }), [data(0, GiB, 0)]).words).toContain('The file holds the disk one to one');
    }
  });

  it.each([
    ['a part of a disk', imageOf(GiB, { start: 700, length: 1000 })],
    ['a single sector', imageOf(512)],
    ['nothing', imageOf(GiB, { start: GiB, length: 0 })],
    ['a file that is shorter than its data', imageOf(GiB, { fileSize: 1024 })],
    ['a disk larger than any', imageOf(2 ** 53 - 512)],
  ])('can be drawn of %s', (_name, image) => {
    draw(image, image.length === 0 ? [] : [data(image.start, image.length, 0)], contentsOf([partition(1, 0, 512)]));
  });
});

describe('text out of an image', () => {
  const hostile = '</text><script>alert(1)</script>&"\'\u0000\u0007\u001b[2J\ufffe\uffff\ud800\u202e\u{1f4be}]]>';

  it('is text and nothing else, and no character that XML does not have', () => {
    const fileSystem = { type: hostile, version: null, label: hostile, uuid: null };
    const parts = [partition(1, 0, GiB, { fileSystem }), partition(2, GiB, GiB, { typeName: hostile, name: hostile })];
    const problem = { code: 'ERR_VHD_CORRUPT', message: hostile, offset: 1, remedy: null } as const;
    const unknown: MapRun = { start: 0, length: 512, kind: 'unknown', depth: 0, fileOffset: null, problem };
    const { text, elements } = draw(imageOf(2 * GiB, { path: `${hostile}.vhd` }), [unknown], contentsOf(parts));
    expect(elements.some((element) => element.name === 'script')).toBe(false);
    expect(text).not.toContain('\u202e');
    expect(elements.some((element) => element.text.includes('\\u{1b}[2J\\u{fffe}'))).toBe(true);
  });

  it('is escaped for elements and attributes alike', () => {
    expect(xmlText('a<b>&"\'\u0001\uffff')).toBe('a&lt;b&gt;&amp;&quot;&#39;\\u{1}\\u{ffff}');
  });

  it('is cut where there is no room for it', () => {
    expect(fitText('short', 12, 200)).toBe('short');
    expect(fitText('a name that is far too long for its box', 12, 100)).toMatch(/^a name that.*…$/);
    expect(fitText('漢字漢字漢字漢字漢字', 12, 60).length).toBeLessThan(5);
    expect(fitText('wide', 12, 3)).toBe('');
    expect(fitText('x'.repeat(100_000), 12, 896).length).toBeLessThan(200);
  });

  it('is wrapped at spaces, and never beyond its lines', () => {
    const size = { font: 10, maxWidth: 100 };
    expect(wrapText('one line', size, 3)).toEqual(['one line']);
    const lines = wrapText('words that take more than the lines there are to be had for all of them', size, 2);
    expect(lines).toHaveLength(2);
    expect(lines[1]?.endsWith('…')).toBe(true);
    expect(wrapText('x'.repeat(50), size, 2)).toHaveLength(2);
    expect(wrapText('a few words more than one line', size, 9).join(' ')).toBe('a few words more than one line');
  });
});
