import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { barLine, ProgressDisplay, type ProgressFlags } from '../../bin/progress.ts';
import { type Output, Session } from '../../bin/session.ts';
import type { Progress } from '../../src/ops/progress.ts';
import { vhd } from '../support/cli.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-progress');
const GIB = 1024 ** 3;

interface Watched {
  readonly tell: (seconds: number, progress: Partial<Progress>) => void;
  readonly display: ProgressDisplay;
  readonly text: () => string;
}

function watch(flags: ProgressFlags, isTTY = true, columns: number | undefined = 200): Watched {
  let text = '';
  let now = 0;
  const stderr: Output = Object.assign(
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        text += chunk.toString();
        done();
      },
    }),
    { isTTY, columns },
  );
  const io = { stdin: process.stdin, stdout: stderr, stderr, env: {}, signal: new AbortController().signal };
  const display = new ProgressDisplay(new Session(io, false), flags, () => now);
  const tell = (seconds: number, progress: Partial<Progress>): void => {
    now = seconds * 1000;
    display.listener?.({ phase: 'copy', doneBytes: 0, totalBytes: 10 * GIB, skippedBytes: 0, ...progress });
  };
  return { tell, display, text: () => text };
}

describe('the progress bar', () => {
  it('tells how far, how fast, how long still and how much was empty', () => {
    const { tell, text } = watch({});
    tell(0, {});
    tell(2, { doneBytes: 5 * GIB, skippedBytes: GIB });
    expect(text()).toBe(
      '\r\u001b[Kcopy  50% [============            ]  5 GiB of 10 GiB  2.5 GiB/s  0:02 left  1 GiB empty',
    );
  });

  it('stays away from what is over within a second', () => {
    const { tell, display, text } = watch({});
    tell(0, {});
    tell(0.9, { doneBytes: 10 * GIB });
    display.clear();
    expect(text()).toBe('');
  });

  it('is removed in the end', () => {
    const { tell, display, text } = watch({});
    tell(1.5, { doneBytes: GIB });
    display.clear();
    display.clear();
    expect(text().endsWith('empty\r\u001b[K') || text().endsWith('GiB\r\u001b[K')).toBe(true);
  });

  it('goes by the last seconds, and begins anew with a phase', () => {
    const { tell, text } = watch({});
    tell(0, { phase: 'plan' });
    tell(10, { phase: 'plan', doneBytes: 10 * GIB });
    tell(11, { doneBytes: 0 });
    tell(12, { doneBytes: GIB });
    expect(text().split('\r').at(-1)).toContain('1 GiB of 10 GiB  1 GiB/s  0:09 left');
  });

  it('fits the terminal', () => {
    const { tell, text } = watch({}, true, 40);
    tell(2, { doneBytes: GIB, skippedBytes: GIB });
    expect(text().replace('\r\u001b[K', '')).toHaveLength(39);
  });

  it.each([
    [{}, false],
    [{ progress: false }, true],
    [{ progress: 'none' }, true],
    [{ quiet: true }, true],
  ] as const)('is not shown with %j on a terminal: %s', (flags, isTTY) => {
    expect(watch(flags, isTTY).display.listener).toBeUndefined();
  });

  it('does without a total', () => {
    const progress = { phase: 'copy', doneBytes: GIB, totalBytes: undefined, skippedBytes: 0 };
    expect(barLine(progress, 1024 ** 2)).toBe('copy  1 GiB  1 MiB/s');
  });

  it('shows how much of a compressed file was read', () => {
    const progress = { phase: 'copy', doneBytes: GIB, totalBytes: undefined, skippedBytes: 0, share: 0.5 };
    expect(barLine(progress, 1024 ** 2)).toBe(`copy  50% [${'='.repeat(12)}${' '.repeat(12)}]  1 GiB  1 MiB/s`);
  });

  it('tells hours', () => {
    const progress = { phase: 'copy', doneBytes: 0, totalBytes: 3661 * 1024, skippedBytes: 0 };
    expect(barLine(progress, 1024)).toContain('1:01:01 left');
  });
});

describe('--progress json', () => {
  it('is lines of JSON on standard error, terminal or not', () => {
    const { tell, text } = watch({ progress: 'json', quiet: true }, false);
    tell(0, { doneBytes: 512, totalBytes: undefined });
    expect(JSON.parse(text())).toEqual({
      schema: 'vhdkit/progress/1',
      phase: 'copy',
      doneBytes: 512,
      totalBytes: null,
      skippedBytes: 0,
    });
  });

  it('is told by every long verb', async () => {
    await vhd(['create', folder.file('a.vhd'), '1M', '--type', 'fixed']);
    const { code, stderr } = await vhd(['convert', folder.file('a.vhd'), folder.file('a.raw'), '--progress', 'json']);
    expect(code).toBe(0);
    const lines = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Progress);
    expect(lines.at(-1)).toMatchObject({ doneBytes: 1024 ** 2, totalBytes: 1024 ** 2 });
  });
});
