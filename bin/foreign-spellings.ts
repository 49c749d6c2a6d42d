import type { Option } from 'commander';
import type { Respelt } from './foreign-call.ts';

/** Words that are put in place of a flag nobody has; `VALUE` stands for what follows it, `LAST` puts it behind all else. */
const SPELLINGS: Readonly<Record<string, string>> = {
  '--overwrite': '--force',
  '--clobber': '--force',
  '--replace': '--force',
  '-f': '--force',
  '-y': '--force',
  '--yes': '--force',
  '--silent': '--quiet',
  '--input': 'VALUE',
  '-i': 'VALUE',
  '--file': 'VALUE',
  '--filename': 'VALUE',
  '--source': 'VALUE',
  '--src': 'VALUE',
  '--image': 'VALUE',
  '--output': 'LAST VALUE',
  '--out': 'LAST VALUE',
  '--dest': 'LAST VALUE',
  '--dst': 'LAST VALUE',
  '--target': 'LAST VALUE',
  '-o': 'LAST VALUE',
  '--stdout': 'LAST -',
  '--offset': '--start VALUE',
  '--skip': '--start VALUE',
  '--seek': '--start VALUE',
  '--begin': '--start VALUE',
  '--count': '--length VALUE',
  '--bytes': '--length VALUE',
  '--input-format': '--from VALUE',
  '--source-format': '--from VALUE',
  '--output-format': '--to VALUE',
  '--target-format': '--to VALUE',
  '--subformat': '--to VALUE',
  '--variant': '--to VALUE',
  '--format': '--to VALUE',
  '--fixed': '--to fixed',
  '--dynamic': '--to dynamic',
  '--raw': '--to raw',
  '--sparse': '--to dynamic',
  '--preallocation': '--preallocate',
  '--geometry': '--chs VALUE',
  '--id': '--uuid VALUE',
  '--guid': '--uuid VALUE',
  '--date': '--timestamp VALUE',
};

/** Flags that ask for what happens anyway, or does not exist to be asked for. */
const NEEDLESS: readonly string[] = ['--verbose', '-v', '--debug', '--progress-bar', '--recursive', '--wait', '-p'];

/** Values as our options have them. */
const VALUES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    vpc: 'vhd',
    img: 'raw',
    dd: 'raw',
    sparse: 'dynamic',
    thin: 'dynamic',
    thick: 'fixed',
  }),
);

/** Makes what knows how a flag that nobody has is to be spelt for a verb with these options. */
export function spellingFor(
  options: readonly Option[],
): (flag: string, value: string | undefined) => Respelt | undefined {
  const has = (flag: string): boolean => options.some(({ short, long }) => short === flag || long === flag);
  return (flag, value) => {
    if (NEEDLESS.includes(flag)) return { takesValue: false };
    if (isJson(flag, value) && has('--json')) return { kept: ['--json'], takesValue: true };
    if (flag === '-f' && /^(raw|vpc|vhd)$/.test(value ?? '') && has('--from')) {
      return { kept: ['--from', ownValue('--from ', value ?? '')], takesValue: true };
    }
    const twice = `-${flag}`;
    if (/^-[a-z][a-z-]+$/.test(flag) && has(twice)) return ownFlag(options, twice, value);
    const spelt = SPELLINGS[flag];
    return spelt === undefined ? undefined : respelt(spelt, value, has);
  };
}

/** A long option that was given one dash. */
function ownFlag(options: readonly Option[], flag: string, value: string | undefined): Respelt {
  const takesValue = options.some(({ long, required }) => long === flag && required);
  return { kept: takesValue ? [flag, value ?? 'VALUE'] : [flag], takesValue };
}

function isJson(flag: string, value: string | undefined): boolean {
  return /^(-o|-f|--output|--format|--output-format)$/.test(flag) && value?.toLowerCase() === 'json';
}

function respelt(spelt: string, value: string | undefined, has: (flag: string) => boolean): Respelt | undefined {
  const takesValue = spelt.includes('VALUE');
  if (takesValue && (value === undefined || value.startsWith('--'))) return undefined;
  const words = spelt.split(' ').map((word) => (word === 'VALUE' ? ownValue(spelt, value ?? '') : word));
  if (words[0] === 'LAST') return lastOperand(words[1] ?? '-', takesValue, has);
  if (!spelt.startsWith('--')) return { operands: words, takesValue };
  const kept = words[0] === '--to' ? typeWords(words, has) : words;
  return has(kept[0] ?? '') ? { kept, takesValue } : undefined;
}

/** Where the output goes, or what it is to be. */
function lastOperand(word: string, takesValue: boolean, has: (flag: string) => boolean): Respelt {
  const isType = /^(raw|vhd|vpc|fixed|dynamic)$/.test(word) && has('--to');
  return isType
    ? { kept: typeWords(['--to', ownValue('--to ', word)], has), takesValue }
    : { lastOperand: word, takesValue };
}

/** `--to` where images are converted, `--type` where they are made. */
function typeWords([, type = '']: readonly string[], has: (flag: string) => boolean): string[] {
  return [!has('--to') && has('--type') ? '--type' : '--to', type === 'vhd' ? 'dynamic' : type];
}

function ownValue(spelt: string, value: string): string {
  if (!/^--(to|from) /.test(spelt)) return value;
  return VALUES.get(value.toLowerCase()) ?? value.toLowerCase();
}

/** Verbs of no program in particular, and what they are here. */
export const OTHER_VERBS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    new: 'create',
    make: 'create',
    mk: 'create',
    init: 'create',
    clone: 'convert',
    copy: 'convert',
    transform: 'convert',
    export: 'convert',
    import: 'convert',
    flatten: 'convert',
    show: 'info',
    stat: 'info',
    inspect: 'info',
    query: 'info',
    dump: 'read',
    extract: 'read',
    benchmark: 'bench',
    identify: 'id',
    detect: 'id',
    file: 'id',
    blocks: 'map',
    fsck: 'check',
    test: 'check',
    validate: 'check',
    diff: 'compare',
    cmp: 'compare',
    grow: 'resize',
    expand: 'resize',
    extend: 'resize',
    shrink: 'compact',
    optimize: 'compact',
    trim: 'compact',
    commit: 'merge',
    coalesce: 'merge',
    rebase: 'relink',
    reparent: 'relink',
    fix: 'repair',
    checksum: 'hash',
    sha256: 'hash',
    chain: 'tree',
    completions: 'completion',
  }),
);
