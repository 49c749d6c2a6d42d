import type { Dialect, ForeignCall, Translation } from './foreign-call.ts';
import { megabytes } from './foreign-sizes.ts';
import { quoted } from './shell-words.ts';

/** The image, which is always given by `-n`. */
function nameOf(call: ForeignCall, placeholder = 'IMAGE'): string {
  return call.value('-n') ?? call.operands[0] ?? placeholder;
}

/** Its sizes are numbers of megabytes: `-size` means something else. */
function fits(call: ForeignCall): boolean {
  return call.values('-s').every((size) => /^\d+$/.test(size));
}

function create(call: ForeignCall): Translation {
  return call.ours('create', nameOf(call), megabytes(call.value('-s')));
}

function snapshot(call: ForeignCall): Translation {
  return call.ours('snapshot', call.value('-p') ?? 'PARENT', nameOf(call, 'CHILD'));
}

function modify(call: ForeignCall): Translation {
  const parent = call.value('-p', '-P');
  if (parent === undefined) return { advice: 'say what is to change: vhd-util modify -n IMAGE -p PARENT' };
  return call.ours('relink', nameOf(call), '--parent', parent);
}

/** vhd-util prints the structures of an image, or bytes of its disk. */
function read(call: ForeignCall): Translation {
  const first = call.value('-r', '-j');
  if (first !== undefined) {
    return {
      advice: `vhd read ${quoted(nameOf(call))} --start BYTE --length BYTES reads the disk; a sector has 512 bytes`,
    };
  }
  if (call.has('-b', '-B', '-e', '-t', '-m', '-i')) return call.ours('map', nameOf(call));
  return call.ours('info', nameOf(call), '--json');
}

function scan(call: ForeignCall): Translation {
  return call.ours('tree', call.operands[0] ?? '.');
}

/** vhd-util of Xen's blktap. */
export const VHD_UTIL: Dialect = {
  program: 'vhd-util',
  commands: ['vhd-util'],
  verbs: {
    create: { ours: 'create', alone: '-r -h', valued: '-n -s', fits, translate: create },
    query: {
      ours: 'info',
      alone: '-v -s -p -f -m -d -S -a -u -h',
      valued: '-n',
      translate: (call) => call.ours('info', nameOf(call)),
    },
    read: { ours: 'read', alone: '-p -h', valued: '-n -b -B -e -t -m -i -c -r -j -d', translate: read },
    snapshot: { ours: 'snapshot', alone: '-m -e -h', valued: '-n -p -l -S', translate: snapshot },
    set: {
      ours: 'set',
      alone: '-h',
      valued: '-n -f -v',
      translate: (call) => call.ours('set', nameOf(call)),
    },
    resize: {
      ours: 'resize',
      alone: '-f -h',
      valued: '-n -s -j',
      translate: (call) => call.ours('resize', nameOf(call), megabytes(call.value('-s'))),
    },
    coalesce: {
      ours: 'merge',
      alone: '-s -p -h',
      valued: '-n -o -x -a',
      translate: (call) => {
        const output = call.value('-o');
        return call.ours('merge', nameOf(call, 'CHILD'), ...(output === undefined ? [] : ['-o', output]));
      },
    },
    check: {
      ours: 'check',
      alone: '-i -p -b -t -s -h',
      valued: '-n',
      translate: (call) => call.ours('check', nameOf(call), call.has('-p') ? '--chain' : undefined),
    },
    repair: {
      ours: 'repair',
      alone: '-b -h',
      valued: '-n',
      translate: (call) => call.ours('repair', nameOf(call)),
    },
    modify: { ours: 'relink', alone: '-m -h', valued: '-n -p -P -s', translate: modify },
    scan: { ours: 'tree', alone: '-f -c -a -p -v -h', valued: '-m -l', translate: scan },
    fill: {
      alone: '-h',
      valued: '-n',
      translate: (call) => call.ours('convert', nameOf(call), 'full.vhd', '--to', 'fixed', '--preallocate'),
    },
    revert: {
      ours: 'undo',
      alone: '-h',
      valued: '-n -j',
      translate: (call) => call.ours('undo', nameOf(call)),
    },
    copy: {
      alone: '-h',
      valued: '-n -N -k -E',
      translate: (call) => call.ours('convert', nameOf(call, 'SRC'), call.value('-N') ?? 'DST'),
    },
    key: {
      alone: '-s -h',
      valued: '-n -k -S -N -p',
      translate: () => ({ advice: 'vhd neither encrypts nor decrypts images' }),
    },
  },
};
