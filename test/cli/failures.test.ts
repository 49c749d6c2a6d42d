import { describe, expect, it } from 'vitest';
import { type Failure, type Files, failureLine, failureOf, failureText } from '../../bin/errors.ts';
import { Interrupted } from '../../bin/interrupted.ts';
import { VhdError, type VhdErrorCode } from '../../src/errors.ts';

const live = new AbortController().signal;

function told(
  error: unknown,
  files: Files = { input: 'in.vhd', output: 'out.vhd' },
  signal: AbortSignal = live,
): Failure {
  return failureOf(error, { files, called: 'vhd convert', flags: ['--footer'], io: { signal } });
}

function systemError(code: string, words: string, more: object = {}): Error {
  return Object.assign(new Error(`${code}: ${words}, write`), { code, syscall: 'write', ...more });
}

const EXIT_CODES: Readonly<Record<VhdErrorCode, number>> = {
  ERR_VHD_NOT_VHD: 3,
  ERR_VHD_FOREIGN_FORMAT: 3,
  ERR_VHD_AMBIGUOUS: 3,
  ERR_VHD_CORRUPT: 3,
  ERR_VHD_TRUNCATED: 3,
  ERR_VHD_FOOTERS_DISAGREE: 3,
  ERR_VHD_UNSUPPORTED: 3,
  ERR_VHD_DIFFERENCING: 3,
  ERR_VHD_PARENT_MISSING: 3,
  ERR_VHD_PARENT_UUID: 3,
  ERR_VHD_PARENT_CHANGED: 3,
  ERR_VHD_PARENT_SIZE: 3,
  ERR_VHD_PARENT_LOOP: 3,
  ERR_VHD_PARENT_OUTSIDE: 3,
  ERR_VHD_HAS_CHILDREN: 3,
  ERR_VHD_JOURNAL: 3,
  ERR_VHD_UNDO: 3,
  ERR_VHD_NO_SPACE: 4,
  ERR_VHD_BITMAP: 3,
  ERR_VHD_LIMIT: 3,
  ERR_VHD_SIZE: 3,
  ERR_VHD_SHRINK: 3,
  ERR_VHD_IN_USE: 3,
  ERR_VHD_STREAM: 3,
  ERR_VHD_MANIFEST: 3,
  ERR_VHD_EXISTS: 2,
  ERR_VHD_SAME_FILE: 2,
  ERR_VHD_SOURCE_CHANGED: 4,
  ERR_VHD_POISONED: 4,
  ERR_VHD_READ_ONLY: 70,
  ERR_VHD_CLOSED: 70,
};

describe('errors of the format', () => {
  it.each(Object.entries(EXIT_CODES))('%s ends with %d', (code, exitCode) => {
    expect(told(new VhdError(code as VhdErrorCode, 'why', { storage: 'a.vhd' }))).toMatchObject({
      code,
      exitCode,
      path: 'a.vhd',
    });
  });

  it('are not mended by an option that the verb does not take', () => {
    const error = new VhdError('ERR_VHD_FOOTERS_DISAGREE', 'why', { storage: 'a b.vhd' });
    const situation = { files: {}, called: 'vhd resize', flags: ['--force'], io: { signal: live } };
    expect(failureOf(error, situation).remedy).toBe(
      "say which one is right: --footer end or --footer start; vhd resize does not take it: vhd convert 'a b.vhd' NEW.vhd does",
    );
    expect(told(error).remedy).toBe('say which one is right: --footer end or --footer start');
    const byRepair = new VhdError('ERR_VHD_CORRUPT', 'why', { remedy: 'vhd repair a.vhd --footer start' });
    expect(failureOf(byRepair, situation).remedy).toBe('vhd repair a.vhd --footer start');
  });

  it('are told with their offset, once', () => {
    const silent = told(
      new VhdError('ERR_VHD_CORRUPT', 'it is broken', { storage: 'a.vhd', offset: 512, remedy: 'mend it' }),
    );
    expect(failureText(silent, false)).toBe('vhd: a.vhd: it is broken (at offset 512)\n     mend it\n');
    const named = told(
      new VhdError('ERR_VHD_CORRUPT', 'it is broken at offset 512', { storage: 'a.vhd', offset: 512 }),
    );
    expect(failureText(named, false)).toBe(
      'vhd: a.vhd: it is broken at offset 512\n     get a good copy of it; vhd info shows what is known about it\n',
    );
  });

  it('without a file are about the input, limits about the output', () => {
    expect(told(new VhdError('ERR_VHD_STREAM', 'why'))).toMatchObject({ path: 'in.vhd' });
    expect(told(new VhdError('ERR_VHD_LIMIT', 'why'))).toMatchObject({ path: 'out.vhd' });
    expect(told(new VhdError('ERR_VHD_SIZE', 'why'), { input: '-' })).toMatchObject({
      path: '-',
      label: 'standard input',
    });
  });

  it('of a poisoned disk are the error that poisoned it', () => {
    const cause = systemError('ENOSPC', 'no space left on device');
    expect(told(new VhdError('ERR_VHD_POISONED', 'an earlier flush failed', { cause }))).toMatchObject({
      code: 'ENOSPC',
      path: 'out.vhd',
      exitCode: 4,
    });
  });
});

describe('errors of the system', () => {
  it('are in plain words, with the file that was written', () => {
    const failure = told(systemError('ENOSPC', 'no space left on device'));
    expect(failure).toMatchObject({ code: 'ENOSPC', exitCode: 4, path: 'out.vhd', message: 'no space left on device' });
    expect(failureText(failure, false)).toBe(
      'vhd: out.vhd: no space left on device\n     make room, or write to another file system\n',
    );
  });

  it('name the output, not the temporary file that stands for it', () => {
    const more = { syscall: 'open', path: '/dir/.out.vhd.0badcafe.tmp' };
    expect(told(systemError('EACCES', 'permission denied', more))).toMatchObject({ path: 'out.vhd' });
    const missing = told(systemError('ENOENT', 'no such file or directory', more), { output: 'dir/out.vhd' });
    expect(missing).toMatchObject({ path: 'dir/out.vhd', message: 'the directory dir does not exist' });
  });

  it('that are new to us still have something to do', () => {
    expect(told(systemError('EXDEV', 'cross-device link not permitted')).remedy).toBe('look up EXDEV for your system');
  });

  it.each([
    ['EIO', 'look into the system log'],
    ['EISDIR', 'name a file'],
    ['EROFS', 'write elsewhere'],
    ['EFBIG', 'ulimit -f'],
  ])('%s has a remedy', (code, remedy) => {
    const failure = told(systemError(code, 'words of the system', { syscall: 'read' }));
    expect(failure).toMatchObject({ exitCode: 4, path: 'in.vhd' });
    expect(failure.remedy).toContain(remedy);
  });

  it('of a broken pipe are silent', () => {
    expect(told(systemError('EPIPE', 'broken pipe'))).toMatchObject({ exitCode: 141, isSilent: true });
  });
});

describe('everything else', () => {
  it.each([new TypeError('x is not a function'), new RangeError('y'), 'a string', undefined])(
    '%s is a defect',
    (error) => {
      const failure = told(error);
      expect(failure).toMatchObject({ code: 'ERR_VHD_DEFECT', exitCode: 70, path: null });
      expect(failureText(failure, false)).toContain('please report it');
    },
  );

  it.each([
    ['SIGINT', 130, 'interrupted'],
    ['SIGTERM', 143, 'terminated'],
  ] as const)('is %s where that came first', (signal, exitCode, message) => {
    const aborted = AbortSignal.abort(new Interrupted(signal));
    expect(told(new Error('the operation was aborted'), {}, aborted)).toMatchObject({ exitCode, message, path: null });
  });

  it('is one line of JSON with the names scripts count on', () => {
    const line = failureLine(told(new VhdError('ERR_VHD_CORRUPT', 'one\ntwo', { storage: 'a.vhd', offset: 4 })));
    expect(line.endsWith('}\n')).toBe(true);
    expect(line.trimEnd()).not.toContain('\n');
    const names = ['schema', 'code', 'message', 'path', 'offset', 'expected', 'found', 'remedy', 'exitCode'];
    expect(Object.keys(JSON.parse(line) as object).sort()).toEqual(names.sort());
  });
});
