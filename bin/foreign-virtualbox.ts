import type { Dialect, ForeignCall, ForeignVerb, Translation } from './foreign-call.ts';
import { megabytes } from './foreign-sizes.ts';
import { quoted } from './shell-words.ts';
import { typeOfName, wayToFormat } from './target.ts';

/** Operands behind the kind of medium, which may be left away. */
function filesOf(call: ForeignCall): string[] {
  return /^(disk|dvd|floppy)$/.test(call.operands[0] ?? '') ? call.operands.slice(1) : call.operands;
}

function isFixed(call: ForeignCall): boolean {
  return call.values('--variant').some((list) => /\bfixed\b/i.test(list));
}

/** Formats of others; VDI is what VirtualBox makes where nothing is said, but here a VHD is meant. */
function foreignFormat(call: ForeignCall): string | undefined {
  const format = call.value('--format')?.toLowerCase();
  return format === undefined || format === 'vhd' || format === 'raw' ? undefined : format;
}

function create(call: ForeignCall): Translation {
  const image = call.value('--filename') ?? filesOf(call)[0] ?? 'IMAGE';
  const format = foreignFormat(call);
  if (format !== undefined) {
    return { advice: `vhd makes VHDs: VBoxManage createmedium makes a ${format.toUpperCase()}` };
  }
  if (call.value('--format')?.toLowerCase() === 'raw') return { advice: `write: truncate -s SIZE ${quoted(image)}` };
  const parent = call.value('--diffparent');
  if (parent !== undefined) return call.ours('create', image, '--parent', parent);
  const size = call.value('--sizebyte') ?? (call.has('--size') ? megabytes(call.value('--size')) : filesOf(call)[1]);
  return call.ours('create', image, size ?? 'SIZE', ...(isFixed(call) ? ['--type', 'fixed'] : []));
}

function copy(call: ForeignCall): Translation {
  const [first = 'SRC', target = 'DST'] = filesOf(call);
  const source = first === 'stdin' ? '-' : first;
  const format = foreignFormat(call);
  if (format !== undefined) return { advice: `vhd does not write ${format}: ${wayToFormat(source, target, format)}` };
  const type = typeOf(call);
  const to = type === undefined || type === typeOfName(target) ? [] : ['--to', type];
  const uuid = call.value('--uuid');
  return call.ours('convert', source, target, ...to, ...(uuid === undefined ? [] : ['--uuid', uuid]));
}

function typeOf(call: ForeignCall): 'raw' | 'fixed' | 'dynamic' | undefined {
  if (call.value('--format')?.toLowerCase() === 'raw') return 'raw';
  if (isFixed(call)) return 'fixed';
  return call.has('--format') ? 'dynamic' : undefined;
}

function modify(call: ForeignCall): Translation {
  const [image = 'IMAGE'] = filesOf(call);
  if (call.has('--compact')) return call.ours('compact', image);
  if (call.has('--resize')) return call.ours('resize', image, megabytes(call.value('--resize')));
  const bytes = call.value('--resizebyte');
  if (bytes !== undefined) return call.ours('resize', image, bytes);
  if (call.has('--move', '--setlocation')) {
    return { advice: `vhd keeps no list of images: mv ${quoted(image)} NEW-PLACE` };
  }
  return { advice: 'vhd keeps no list of images, only files: there is nothing else to modify' };
}

/** Its undocumented commands are words behind another. */
function internal(call: ForeignCall): Translation {
  const [what = '', image = 'IMAGE', value] = call.operands;
  if (what.toLowerCase() === 'sethduuid') return call.ours('set', image, '--uuid', value ?? 'new');
  if (what.toLowerCase() === 'sethdparentuuid') return call.ours('relink', image, '--parent', 'PARENT');
  if (what.toLowerCase() === 'converttoraw') return call.ours('convert', image, value ?? 'DST');
  return { advice: 'vhd --help shows what there is' };
}

/** Older ones had one dash. */
function optionOf(word: string, options: readonly string[]): string | undefined {
  return options.find((name) => name === word || name.slice(1) === word);
}

const CREATE: ForeignVerb = {
  ours: 'create',
  valued: '--filename --size --sizebyte --format --variant --diffparent --property --property-file',
  translate: create,
};
/** `vpc` is the name that qemu-img has for a VHD. */
function fits(call: ForeignCall): boolean {
  return call.values('--format').every((format) => /^(vhd|raw|vdi|vmdk|parallels|qed|qcow)$/i.test(format));
}

const COPY: ForeignVerb = {
  ours: 'convert',
  alone: '--existing --move-to',
  valued: '--format --variant --uuid --resize',
  fits,
  translate: copy,
};
const MODIFY: ForeignVerb = {
  alone: '--compact',
  valued: '--resize --resizebyte --move --setlocation --type --autoreset --property --description',
  translate: modify,
};
const SHOW: ForeignVerb = { ours: 'info', translate: (call) => call.ours('info', filesOf(call)[0] ?? 'IMAGE') };
const CLOSE: ForeignVerb = {
  alone: '--delete',
  translate: (call) => ({
    advice: `vhd keeps no list of images; rm ${quoted(filesOf(call)[0] ?? 'IMAGE')} removes one`,
  }),
};

/** VBoxManage, as its manual has it. */
export const VIRTUALBOX: Dialect = {
  program: 'VBoxManage',
  commands: ['VBoxManage', 'vboxmanage', 'VBoxManage.exe'],
  flagOf: optionOf,
  verbs: {
    createmedium: CREATE,
    createhd: CREATE,
    createvdi: CREATE,
    clonemedium: COPY,
    clonehd: COPY,
    clonevdi: COPY,
    convertfromraw: COPY,
    convertdd: COPY,
    modifymedium: MODIFY,
    modifyhd: MODIFY,
    showmediuminfo: SHOW,
    showhdinfo: SHOW,
    closemedium: CLOSE,
    internalcommands: { translate: internal },
  },
};
