// Random programs on a disk: made from a seed as a list of steps, which can be shortened, run again and printed.
import { GATHER_LIMITS, type GatherLimits } from '../../src/disk/write-back.ts';
import { LOSSES, type Loss } from '../support/crash-storage.ts';
import { Random } from '../support/seed.ts';
import type { Subject } from './subjects.ts';

/** When the next step begins: after some turns of the event queue, or when every call so far has resolved. */
export interface Pace {
  readonly turns: number;
  readonly isAwaited: boolean;
}

/** A range of the virtual disk. */
interface StepRange {
  readonly position: number;
  readonly length: number;
}

/** One call on the disk; `crash` loses power, or the process, and goes on with what that left. */
export type Step =
  | ({ readonly kind: 'write'; readonly fill: number } & StepRange & Pace)
  | ({ readonly kind: 'discard' | 'read' } & StepRange & Pace)
  | ({ readonly kind: 'flush' } & Pace)
  | ({ readonly kind: 'reopen' } & Pace)
  | ({ readonly kind: 'crash'; readonly loss: Loss } & Pace);

/** What is run on an image. Every choice on the way, delays and crashes, comes out of the seed and the steps. */
export interface Program {
  readonly subject: Subject;
  readonly durability: 'flush' | 'always';
  /** How much is gathered: as much as usual, which these programs never fill, or little. */
  readonly limits: GatherLimits;
  readonly seed: number;
  readonly steps: readonly Step[];
}

/** Makes the program of a seed. */
export function makeProgram(subject: Subject, seed: number): Program {
  const random = new Random(seed);
  const durability = random.oneIn(5) ? 'always' : 'flush';
  const limits = random.oneIn(3) ? { gatherBelow: 3000, arenaBytes: 2500 } : GATHER_LIMITS;
  const steps: Step[] = [];
  let last: StepRange = { position: 0, length: 0 };
  // Most calls meet in a few blocks: what was written there is freed, and its space used again.
  const hot = Array.from({ length: 5 }, () => random.below(Math.ceil(subject.content.length / subject.blockSize)));
  if (random.oneIn(3)) steps.push(...freeAndReuse(subject, random));
  for (let count = 4 + random.below(20); count > 0; count--) {
    const step = nextStep(subject, { last, hot }, random);
    if ('position' in step) last = step;
    steps.push(step);
  }
  return { subject, durability, limits, seed, steps };
}

function nextStep(
  subject: Subject,
  places: { readonly last: StepRange; readonly hot: readonly number[] },
  random: Random,
): Step {
  const isAwaited = random.oneIn(4);
  const pace = { turns: random.below(random.oneIn(3) ? 120 : 10), isAwaited };
  const dice = random.below(100);
  if (dice < 18) return { kind: 'flush', ...pace };
  if (dice < 21) return { kind: 'reopen', ...pace };
  if (dice < 24) return { kind: 'crash', loss: random.pick(LOSSES), ...pace };
  const kind = dice < 45 ? 'discard' : dice < 50 ? 'read' : 'write';
  // What frees space is worth more than what writes zeros.
  const isWhole = kind === 'discard' && random.oneIn(2);
  const range = nextRange(subject, places, { random, isWhole });
  return kind === 'write'
    ? { kind, ...range, fill: 1 + random.below(1_000_000), ...pace }
    : { kind, ...range, ...pace };
}

/** Blocks are written and flushed; then they are freed and others written while flushes are under way. */
function freeAndReuse({ content, blockSize }: Subject, random: Random): Step[] {
  const blockCount = Math.ceil(content.length / blockSize);
  const block = (): StepRange => {
    const position = random.below(blockCount) * blockSize;
    return { position, length: Math.min(blockSize, content.length - position) };
  };
  const soon = (most: number): Pace => ({ turns: random.below(most), isAwaited: false });
  const write = (range: StepRange, pace: Pace): Step => ({
    kind: 'write',
    ...range,
    fill: 1 + random.below(1_000_000),
    ...pace,
  });
  const old = [block(), block()];
  const steps: Step[] = old.map((range) => write(range, soon(3)));
  steps.push({ kind: 'flush', turns: 0, isAwaited: true });
  for (const range of old) {
    const free: Step = { kind: 'discard', ...range, ...soon(60) };
    const flush: Step = { kind: 'flush', ...soon(200) };
    // Freed before the flush begins or while it runs; it has something to do either way.
    steps.push(...(random.oneIn(2) ? [free, flush] : [write(block(), soon(20)), flush, free]));
    steps.push(write(block(), soon(80)), write(block(), soon(80)));
  }
  return steps;
}

/** A range that a call is about, cut to the disk. */
function nextRange(
  subject: Subject,
  places: { last: StepRange; hot: readonly number[] },
  { random, isWhole }: { random: Random; isWhole: boolean },
): StepRange {
  const { position, length } = anyRange(subject, places, random, isWhole);
  const size = subject.content.length;
  const start = Math.min(Math.max(0, position), size - 1);
  return { position: start, length: Math.max(1, Math.min(length, size - start)) };
}

/** Whole blocks, large and small ranges anywhere, and ranges that touch or overlap the last one. */
function anyRange(
  { content, blockSize }: Subject,
  { last, hot }: { last: StepRange; hot: readonly number[] },
  random: Random,
  isWhole: boolean,
): StepRange {
  const size = content.length;
  const blockCount = Math.ceil(size / blockSize);
  const blockStart = pickBlock(blockCount, hot, random) * blockSize;
  const small = 1 + random.below(random.oneIn(2) ? 700 : 9000);
  // A large write into blocks of one sector is hundreds of calls: now and then is enough.
  const dice = isWhole ? 0 : random.below(blockSize < 4096 && !random.oneIn(6) ? 10 : 12);
  if (dice < 2) return { position: blockStart, length: blockSize };
  if (dice < 4) return { position: blockStart, length: blockSize * (1 + random.below(blockCount < 8 ? 2 : 5)) };
  if (dice < 7) return { position: blockStart + random.below(blockSize), length: small };
  if (dice < 9) return { position: last.position + last.length, length: small };
  if (dice < 10) return { position: last.position + random.below(last.length + 1) - random.below(600), length: small };
  if (dice < 11) return { position: random.below(size), length: 1 + random.below(Math.min(3 * blockSize, size)) };
  return { position: random.below(size), length: 65_536 + random.below(40_000) };
}

function pickBlock(blockCount: number, hot: readonly number[], random: Random): number {
  return (random.oneIn(4) ? undefined : hot[random.below(hot.length)]) ?? random.below(blockCount);
}

/** The bytes of a write: never zero, and no two of its sectors are the same. */
export function bytesOf({ length, fill }: { readonly length: number; readonly fill: number }): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (fill * 0x9e37_79b1) >>> 0 || 1;
  // A prime number of bytes, over and over: quicker than making each anew.
  const period = Math.min(length, 65_537);
  for (let index = 0; index < period; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = (state >>> 24) % 255 || 1;
  }
  for (let done = period; done < length; done *= 2) bytes.copyWithin(done, 0, Math.min(done, length - done));
  return bytes;
}

/** A program as somebody reads it. */
export function describeProgram({ subject, durability, limits, steps }: Program): string {
  const lines = steps.map((step, index) => `  ${index + 1}. ${describeStep(step)}`);
  const room = limits === GATHER_LIMITS ? '' : `, gathering at most ${limits.arenaBytes} bytes`;
  return [`open ${subject.name}, durability ${durability}${room}`, ...lines, `  ${steps.length + 1}. close`].join('\n');
}

function describeStep(step: Step): string {
  const pace = step.isAwaited ? ', wait for all' : step.turns > 0 ? `, go on after ${step.turns} turns` : '';
  if ('position' in step) return `${step.kind} ${step.length} bytes at ${step.position}${pace}`;
  return `${step.kind}${step.kind === 'crash' ? ` (${step.loss})` : ''}${pace}`;
}
