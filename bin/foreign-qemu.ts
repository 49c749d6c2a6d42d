import type { Dialect, ForeignCall, Translation } from './foreign-call.ts';
import { shellLine } from './shell-words.ts';
import { typeOfName, wayToFormat } from './target.ts';

/** Formats of `-f` and `-O` that are ours. */
const OURS: readonly string[] = ['raw', 'vpc'];
const NAMED_VHD = /\.(a?vhd|vpc)$/i;
const COMMON = '-p -q -U --force-share --image-opts --salvage -h';

const FORMATS = /^(raw|vpc|vhdx|qcow2?|qed|vmdk|vdi|luks|parallels|dmg|bochs|cloop|file|host_device|nbd)$/;

/** Formats that exist, and options with a value: `-force` and `-o FILE` mean something else. */
function fits(call: ForeignCall): boolean {
  const formats = [...call.values('-f'), ...call.values('-O')];
  return formats.every((format) => FORMATS.test(format)) && call.values('-o').every((list) => /[=?]|help/.test(list));
}

/** What `--from` is for the format of an input; left away where the name says the same and cannot mislead. */
function fromWords(format: string | undefined, source: string): string[] {
  if (format === 'raw') return ['--from', 'raw'];
  return format === 'vpc' && !NAMED_VHD.test(source) ? ['--from', 'vhd'] : [];
}

/** What an input of another format has to go through first. */
function foreignSource(call: ForeignCall, rest: string): Translation | undefined {
  const format = call.value('-f');
  const [source = 'SRC'] = call.operands;
  if (call.has('--image-opts')) return { advice: 'name the file itself; its format is recognised, or --from says it' };
  if (format === undefined || OURS.includes(format)) return undefined;
  return {
    advice: `write: ${shellLine(['qemu-img', 'convert', '-f', format, '-O', 'raw', source, 'disk.raw'])} && ${rest}`,
  };
}

interface Layout {
  readonly type: 'fixed' | 'dynamic' | undefined;
  readonly preallocate: boolean;
  readonly note: string | undefined;
}

/** The `-o` of VHDs. That the size stays as it is (`force_size=on`) needs no word here. */
function layoutOf(call: ForeignCall): Layout {
  const given = call.values('-o').flatMap((list) => list.split(','));
  const rest = given.filter((item) => !/^(subformat=(fixed|dynamic)|force_size=\w+|preallocation=\w+)$/.test(item));
  const fixed = given.includes('subformat=fixed');
  const dynamic = given.includes('subformat=dynamic');
  const preallocate = given.some((item) => /^preallocation=(full|falloc)$/.test(item));
  const note = rest.length === 0 ? noteOn(call) : `-o ${rest.join(',')} says nothing about a VHD`;
  return { type: fixed ? 'fixed' : dynamic ? 'dynamic' : undefined, preallocate, note };
}

function noteOn(call: ForeignCall): string | undefined {
  return call.has('-c') ? 'a VHD is not compressed' : undefined;
}

/** `--to`, where the name of the target does not say it. */
function toWords(call: ForeignCall, target: string, type: Layout['type']): string[] {
  const format = call.value('-O');
  const byName = typeOfName(target);
  if (format === 'vpc') return byName === (type ?? 'dynamic') ? [] : ['--to', type ?? 'dynamic'];
  if (format === 'raw') return byName === 'raw' ? [] : ['--to', 'raw'];
  return type === undefined ? [] : ['--to', type];
}

function convert(call: ForeignCall): Translation {
  const [source = 'SRC', ...others] = call.operands;
  const target = others.pop() ?? 'DST';
  const format = call.value('-O') ?? 'raw';
  if (!OURS.includes(format)) return { advice: `vhd does not write ${format}: ${wayToFormat(source, target, format)}` };
  if (others.length > 0) {
    return { advice: `write: cat ${shellLine([source, ...others])} | ${shellLine(['vhd', 'convert', '-', target])}` };
  }
  if (call.has('-l', '-s')) return { advice: 'a VHD holds no snapshots: leave that away' };
  const { type, preallocate, note } = layoutOf(call);
  const from = fromWords(call.value('-f'), source);
  const rest = ['convert', 'disk.raw', target, ...toWords(call, target, type)];
  const foreign = foreignSource(call, shellLine(['vhd', ...rest]));
  if (foreign !== undefined) return foreign;
  if (call.has('-n')) {
    return {
      calls: [
        ['convert', source, '-', '--to', 'raw', ...from, ...call.kept],
        ['write', target],
      ],
      joint: '|',
    };
  }
  const parent = call.value('-B', '-b');
  // A child is neither fixed nor dynamic, and takes room as it is written.
  const words =
    parent === undefined
      ? [...toWords(call, target, type), ...(preallocate ? ['--preallocate'] : [])]
      : ['--parent', parent];
  return { calls: [['convert', source, target, ...from, ...words, ...call.kept]], note };
}

function create(call: ForeignCall): Translation {
  const [image = 'IMAGE', size] = call.operands;
  const format = call.value('-f') ?? 'vpc';
  if (format === 'raw') return { advice: `write: ${shellLine(['truncate', '-s', size ?? 'SIZE', image])}` };
  if (format !== 'vpc') return { advice: `vhd makes VHDs: qemu-img create -f ${format} makes the others` };
  const parent = call.value('-b', '-B');
  if (parent !== undefined) {
    const note = size === undefined ? undefined : 'a child has the size of its parent';
    return { calls: [['create', image, '--parent', parent, ...call.kept]], note };
  }
  const { type, preallocate, note } = layoutOf(call);
  const words = [...(type === 'fixed' ? ['--type', 'fixed'] : []), ...(preallocate ? ['--preallocate'] : [])];
  return { calls: [['create', image, size ?? 'SIZE', ...words, ...call.kept]], note };
}

function info(call: ForeignCall): Translation {
  const [image = 'IMAGE'] = call.operands;
  const foreign = foreignSource(call, shellLine(['vhd', 'info', 'disk.raw']));
  if (foreign !== undefined) return foreign;
  const json = call.value('--output') === 'json' ? '--json' : undefined;
  return call.ours('info', image, ...fromWords(call.value('-f'), image), json);
}

/** `dd if=a.vhd of=b.raw bs=1M skip=2 count=1`, of the virtual disk. */
function dd(call: ForeignCall): Translation {
  const item = (name: string): string | undefined =>
    call.operands.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
  const [source, target] = [item('if') ?? 'IMAGE', item('of') ?? '-'];
  const start = times(item('skip'), item('bs'));
  const length = times(item('count'), item('bs'));
  const range = [
    ...(start === undefined ? [] : ['--start', start]),
    ...(length === undefined ? [] : ['--length', length]),
  ];
  const words = ['read', source, ...range, ...fromWords(call.value('-f'), source)];
  const isVhd = call.value('-O') === 'vpc' || (call.value('-O') === undefined && NAMED_VHD.test(target));
  if (isVhd) return { calls: [words, ['convert', '-', target, '--from', 'raw', ...call.kept]], joint: '|' };
  return call.ours('read', ...words.slice(1), ...(target === '-' ? [] : ['-o', target]));
}

/** So many blocks in the words of our sizes: the unit stays, only its number is multiplied. */
function times(count: string | undefined, blockSize = '512'): string | undefined {
  const [, digits = '', unit = ''] = /^(\d+)([a-z]?)$/i.exec(blockSize) ?? [];
  if (count === undefined || digits === '' || !/^\d+$/.test(count)) return count;
  return `${Number(count) * Number(digits)}${unit.toUpperCase()}`;
}

function map(call: ForeignCall): Translation {
  const [start, length] = [call.value('--start-offset', '-s'), call.value('--max-length', '-l')];
  const words = [
    ...(start === undefined ? [] : ['--start', start]),
    ...(length === undefined ? [] : ['--length', length]),
  ];
  return call.ours(
    'map',
    call.operands[0] ?? 'IMAGE',
    ...words,
    call.value('--output') === 'json' ? '--json' : undefined,
  );
}

function measure(call: ForeignCall): Translation {
  const [source = 'SRC'] = call.operands;
  if (call.has('--size')) return { advice: 'a VHD without data is 2 MiB at most, and its table of 4 bytes a block' };
  const type = call.value('-O') === 'raw' ? 'raw' : (layoutOf(call).type ?? 'dynamic');
  const target = type === 'raw' ? 'out.raw' : 'out.vhd';
  const to = type === 'fixed' ? ['--to', 'fixed'] : [];
  return call.ours('convert', source, target, ...fromWords(call.value('-f'), source), ...to, '--dry-run');
}

function check(call: ForeignCall): Translation {
  const [image = 'IMAGE'] = call.operands;
  const json = call.value('--output') === 'json' ? '--json' : undefined;
  return call.ours(call.has('-r') ? 'repair' : 'check', image, json);
}

function snapshot(call: ForeignCall): Translation {
  const [image = 'IMAGE'] = call.operands;
  if (!call.has('-c')) return { advice: 'a VHD holds no snapshots; an image made on top of another does for one' };
  return call.ours('snapshot', image, 'CHILD.vhd');
}

function rebase(call: ForeignCall): Translation {
  const [image = 'IMAGE'] = call.operands;
  const words = ['relink', image, '--parent', call.value('-b', '-B') ?? 'PARENT'];
  const note = call.has('-u') ? undefined : 'it moves no data: the new parent has to hold what the old one does';
  return { calls: [[...words, ...call.kept]], note };
}

/** Without `-s`, zeros that one of the two has more are no difference. */
function compare(call: ForeignCall): Translation {
  const [a = 'A', b = 'B'] = call.operands;
  const [ofA, ofB] = [call.value('-f'), call.value('-F')];
  if (call.has('--image-opts')) return { advice: 'name the files themselves; --from-a and --from-b say what they are' };
  const other = [ofA, ofB].find((format) => format !== undefined && !OURS.includes(format));
  if (other !== undefined) {
    return {
      advice: `vhd reads no ${other}: make a raw disk of it (qemu-img convert -f ${other} -O raw), and compare that`,
    };
  }
  const from = (side: 'a' | 'b', format: string | undefined, name: string): string[] => {
    const [, kind] = fromWords(format, name);
    return kind === undefined ? [] : [`--from-${side}`, kind];
  };
  const words = [...from('a', ofA, a), ...from('b', ofB, b)];
  if (!call.has('-s')) return call.ours('compare', a, b, ...words, '--ignore-tail');
  return {
    ...call.ours('compare', a, b, ...words),
    note: 'which zeros are stored and which are holes is not compared',
  };
}

/** qemu-img, as its manual has it. */
export const QEMU: Dialect = {
  program: 'qemu-img',
  commands: ['qemu-img', 'qemu-img.exe'],
  verbs: {
    amend: {
      ours: 'set',
      alone: `${COMMON} --force`,
      valued: '-f -o -t --object',
      translate: (call) => call.ours('set', call.operands[0] ?? 'IMAGE'),
    },
    bench: {
      ours: 'bench',
      alone: `${COMMON} -n -w --no-drain --native`,
      valued: '-c -d -f -i -o -s -S -t --flush-interval --pattern --object',
      translate: (call) => ({ ...call.ours('bench'), note: 'it measures a directory, with images of its own' }),
    },
    bitmap: {
      alone: `${COMMON} --add --remove --clear --enable --disable`,
      valued: '-f -F -b -g --merge --object',
      translate: () => ({ advice: 'a VHD holds no bitmaps of what has changed' }),
    },
    check: { ours: 'check', alone: COMMON, valued: '-f -r -T --output --object', translate: check },
    commit: {
      ours: 'merge',
      alone: `${COMMON} -d`,
      valued: '-f -t -b -r --object',
      translate: (call) => {
        const base = call.value('-b');
        return call.ours('merge', call.operands[0] ?? 'CHILD', ...(base === undefined ? [] : ['--into', base]));
      },
    },
    compare: { ours: 'compare', alone: `${COMMON} -s`, valued: '-f -F -T --object', translate: compare },
    convert: {
      ours: 'convert',
      alone: `${COMMON} -c -n -W -C -u --target-image-opts --target-is-zero --bitmaps --skip-broken-bitmaps`,
      valued: '-f -O -o -S -t -T -m -l -s -B -b -F -r --object',
      fits,
      translate: convert,
    },
    create: { ours: 'create', alone: `${COMMON} -u`, valued: '-f -F -b -B -o --object', fits, translate: create },
    dd: { alone: COMMON, valued: '-f -O --object', translate: dd },
    info: {
      ours: 'info',
      alone: `${COMMON} --backing-chain --limits`,
      valued: '-f -t --output --object',
      translate: info,
    },
    map: {
      ours: 'map',
      alone: COMMON,
      valued: '-f -s -l --output --start-offset --max-length --object',
      translate: map,
    },
    measure: { alone: COMMON, valued: '-f -O -o -l --output --size --object', translate: measure },
    rebase: { ours: 'relink', alone: `${COMMON} -u -c`, valued: '-f -F -b -B -t -T --object', translate: rebase },
    resize: {
      ours: 'resize',
      alone: `${COMMON} --shrink`,
      valued: '-f --preallocation --object',
      translate: (call) => {
        const shrink = call.has('--shrink') ? '--shrink' : undefined;
        return call.ours('resize', call.operands[0] ?? 'IMAGE', call.operands[1] ?? 'SIZE', shrink);
      },
    },
    snapshot: { ours: 'snapshot', alone: `${COMMON} -l`, valued: '-f -a -c -d --object', translate: snapshot },
  },
};
