// Whoever calls vhd like another program is told how it is called. Nothing is carried out: no file here exists.
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { isVerb } from '../../bin/verbs.ts';
import { type CallResult, vhd } from '../support/cli.ts';

/** The words of a line, of which only quotes are special. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

async function told(line: string): Promise<CallResult & { sentence: string; remedy: string }> {
  const result = await vhd(wordsOf(line));
  const [sentence = '', remedy = ''] = result.stderr.split('\n').map((text) => text.replace(/^vhd: | {5}/, ''));
  return { ...result, sentence, remedy };
}

const CALLS: readonly (readonly [program: string, line: string, ours: string])[] = [
  ['qemu-img', 'convert -f raw -O vpc -o subformat=fixed a.raw b.vhd', 'vhd convert a.raw b.vhd --from raw --to fixed'],
  [
    'qemu-img',
    'convert -f raw -O vpc -o subformat=fixed,force_size=on a.raw b',
    'vhd convert a.raw b --from raw --to fixed',
  ],
  ['qemu-img', 'convert -p -q -O raw -S 4k -t none -T none -m 16 -W a.vhd b.raw', 'vhd convert a.vhd b.raw -q'],
  ['qemu-img', 'convert -f vpc -Oraw a.img b.dd --force', 'vhd convert a.img b.dd --from vhd --force'],
  ['qemu-img', 'convert -O vpc a.raw b.img', 'vhd convert a.raw b.img --to dynamic'],
  ['qemu-img', 'convert -n -O raw a.vhd b.raw', 'vhd convert a.vhd - --to raw | vhd write b.raw'],
  ['qemu-img', 'convert -O vpc a.raw b.raw c.vhd', 'cat a.raw b.raw | vhd convert - c.vhd'],
  [
    'qemu-img',
    'convert -f qcow2 -O vpc a.qcow2 b.vhd',
    'qemu-img convert -f qcow2 -O raw a.qcow2 disk.raw && vhd convert disk.raw b.vhd',
  ],
  ['qemu-img', "convert -O vpc 'my disk.raw' 'x;y.vhd'", "vhd convert 'my disk.raw' 'x;y.vhd'"],
  ['qemu-img', 'convert -O vpc -- -a.raw b.vhd', 'vhd convert ./-a.raw b.vhd'],
  ['qemu-img', 'create -f vpc d.vhd 10G', 'vhd create d.vhd 10G'],
  [
    'qemu-img',
    'create -f vpc -o subformat=fixed,preallocation=full d.vhd 10G',
    'vhd create d.vhd 10G --type fixed --preallocate',
  ],
  ['qemu-img', 'create -f raw d.raw 10G', 'truncate -s 10G d.raw'],
  ['qemu-img', 'create -f vpc -b p.vhd -F vpc c.vhd', 'vhd create c.vhd --parent p.vhd'],
  ['qemu-img', 'convert -O vpc -B p.vhd -o subformat=dynamic a.vhd c.vhd', 'vhd convert a.vhd c.vhd --parent p.vhd'],
  ['Hyper-V', 'New-VHD -Path c.vhd -ParentPath p.vhd -Differencing', 'vhd create c.vhd --parent p.vhd'],
  ['vhd-util', 'snapshot -n c.vhd -p p.vhd', 'vhd snapshot p.vhd c.vhd'],
  [
    'VBoxManage',
    'createmedium disk --filename c.vhd --format VHD --diffparent p.vhd',
    'vhd create c.vhd --parent p.vhd',
  ],
  ['qemu-img', 'compare -p -s a.vhd b.raw', 'vhd compare a.vhd b.raw'],
  ['qemu-img', 'compare -f vpc -F raw a.img b.raw', 'vhd compare a.img b.raw --from-a vhd --from-b raw --ignore-tail'],
  ['qemu-img', 'info --output=json -U a.vhd', 'vhd info a.vhd --json'],
  ['qemu-img', 'dd if=a.vhd of=b.raw bs=1M skip=2 count=3', 'vhd read a.vhd --start 2M --length 3M -o b.raw'],
  ['qemu-img', 'dd -O vpc if=a.vhd of=b.vhd count=8', 'vhd read a.vhd --length 4096 | vhd convert - b.vhd --from raw'],
  ['qemu-img', 'measure -f raw -O vpc a.raw', 'vhd convert a.raw out.vhd --from raw --dry-run'],
  ['Hyper-V', 'New-VHD -Path d.vhd -SizeBytes 10GB -Fixed', 'vhd create d.vhd 10G --type fixed'],
  ['Hyper-V', 'new-vhd d.vhd 10GB -dynamic -blocksizebytes 2MB', 'vhd create d.vhd 10G --block-size 2M'],
  ['Hyper-V', 'create -Path:d.vhd -SizeBytes 512MB', 'vhd create d.vhd 512M'],
  ['Hyper-V', 'create d.vhd 1G -VHDType Fixed', 'vhd create d.vhd 1G --type fixed'],
  [
    'Hyper-V',
    'Convert-VHD -Path a.vhd -DestinationPath b.vhd -VHDType Fixed -Pass',
    'vhd convert a.vhd b.vhd --to fixed',
  ],
  ['Hyper-V', "Convert-VHD 'C:\\my disk.vhd' b.vhd", "vhd convert 'C:\\my disk.vhd' b.vhd"],
  ['Hyper-V', 'Get-VHD a.vhd', 'vhd info a.vhd'],
  ['vhd-util', 'create -n d.vhd -s 10240', 'vhd create d.vhd 10G'],
  ['vhd-util', 'create -n d.vhd -s 100', 'vhd create d.vhd 100M'],
  ['vhd-util', 'query -n a.vhd -vsp', 'vhd info a.vhd'],
  ['vhd-util', 'read -n a.vhd -p', 'vhd info a.vhd --json'],
  ['vhd-util', 'info -n a.vhd -v', 'vhd info a.vhd'],
  [
    'VBoxManage',
    'createmedium disk --filename d.vhd --size 10240 --format VHD --variant Fixed',
    'vhd create d.vhd 10G --type fixed',
  ],
  ['VBoxManage', 'createhd -filename d.vhd -sizebyte 1048576', 'vhd create d.vhd 1048576'],
  ['VBoxManage', 'create --filename d.vhd --size 100', 'vhd create d.vhd 100M'],
  ['VBoxManage', 'clonemedium disk a.vhd b.raw --format RAW', 'vhd convert a.vhd b.raw'],
  ['VBoxManage', 'clonehd a.vhd b.img --format VHD', 'vhd convert a.vhd b.img --to dynamic'],
  ['VBoxManage', 'convertfromraw stdin b.vhd 4096 --format VHD --variant Fixed', 'vhd convert - b.vhd --to fixed'],
  ['VBoxManage', 'showmediuminfo disk a.vhd', 'vhd info a.vhd'],
];

describe('a line of another program is answered with ours', () => {
  it.each(CALLS)('%s: vhd %s', async (program, line, ours) => {
    const { code, stdout, sentence, remedy } = await told(line);
    expect([code, stdout, remedy]).toEqual([2, '', `write: ${ours}`]);
    expect(sentence).toContain(`: that is ${program}'s`);
  });

  it.each([
    ['convert a b --overwrite', "unknown option '--overwrite'", 'vhd convert a b --force'],
    ['convert a b -y --verbose', "unknown option '-y'", 'vhd convert a b --force'],
    ['convert a b --output-format raw', "unknown option '--output-format'", 'vhd convert a b --to raw'],
    ['convert --format=vpc -o b -i a', "unknown option '--format=vpc'", 'vhd convert a b --to dynamic'],
    ['convert --stdout a --to raw', "unknown option '--stdout'", 'vhd convert a - --to raw'],
    ['create d.vhd -size 10G -force', "unknown option '-size'", 'vhd create d.vhd --size 10G --force'],
    ['create d.vhd 10G --fixed', "unknown option '--fixed'", 'vhd create d.vhd 10G --type fixed'],
    ['info a -o json', "unknown option '-o'", 'vhd info a --json'],
    ['info a -f vpc', "unknown option '-f': that is qemu-img's", 'vhd info a --from vhd'],
    ['write a b -f vpc', "unknown option '-f'", 'vhd write a b --from vhd'],
    ['write a b --seek 5', "unknown option '--seek'", 'vhd write a b --start 5'],
    ['read a --offset 5 --count 3', "unknown option '--offset'", 'vhd read a --start 5 --length 3'],
    ['-q convert a b', "'-q' comes before the verb: options come after it", 'vhd convert -q a b'],
    ['INFO a', "unknown command 'INFO'", 'vhd info a'],
    ['inspect a --strict', "unknown command 'inspect'", 'vhd info a --strict'],
    ['vhd convert a b', "unknown command 'vhd'", 'vhd convert a b'],
    ['qemu-img info a.vhd', "unknown command 'qemu-img': that is another program", 'vhd info a.vhd'],
    ['help New-VHD', "unknown command 'New-VHD': that is Hyper-V's", 'vhd create IMAGE SIZE'],
  ])('vhd %s', async (line, sentence, ours) => {
    expect(await told(line)).toMatchObject({ code: 2, stdout: '', sentence, remedy: `write: ${ours}` });
  });

  it('or with what to do where there is no such call', async () => {
    expect((await told('convert -O qcow2 a.vhd b.qcow2')).remedy).toMatch(
      /^vhd does not write qcow2: vhd convert a\.vhd disk\.raw && qemu-img convert -f raw -O qcow2 disk\.raw b\.qcow2$/,
    );
    expect((await told('convert -l snap a.vhd b.raw')).remedy).toContain('holds no snapshots');
    expect((await told("Mount-VHD 'a;b.vhd'")).remedy).toContain("vhd convert 'a;b.vhd' disk.raw");
    expect((await told("closemedium disk 'a b.vhd'")).remedy).toContain("rm 'a b.vhd' removes");
    expect((await told('New-VHD d.vhdx 1GB')).sentence).toContain('vhd makes VHD, not VHDX');
    expect((await told('convert -c -O vpc a.raw b.vhd')).sentence).toContain('a VHD is not compressed');
  });

  it('under --json too', async () => {
    const { stderr } = await vhd(['convert', '-O', 'raw', 'a.vhd', 'b.raw', '--json']);
    expect(JSON.parse(stderr)).toMatchObject({
      code: 'ERR_VHD_USAGE',
      message: "unknown option '-O': that is qemu-img's",
      remedy: 'write: vhd convert a.vhd b.raw --json',
    });
  });
});

describe('a verb that other programs have', () => {
  it.each([
    ['rebase -u -b p.vhd c.vhd', 'relink'],
    ['commit c.vhd', 'merge'],
    ['coalesce -n c.vhd', 'merge'],
    ['optimize a.vhd', 'compact'],
    ['Optimize-VHD a.vhd', 'compact'],
    ['test a.vhd', 'check'],
    ['Test-VHD a.vhd', 'check'],
    ['Resize-VHD a.vhd 20GB', 'resize'],
    ['modifymedium a.vhd --resize 20480', 'resize'],
    ['Set-VHD a.vhd -ParentPath p.vhd', 'relink'],
    ['Merge-VHD c.vhd', 'merge'],
    ['check -f vpc -r all a.vhd', 'repair'],
    ['diff a.vhd b.raw', 'compare'],
    ['scan -f -m x', 'tree'],
  ])('vhd %s is %s, or what does it until then', async (line, verb) => {
    const { code, sentence, remedy } = await told(line);
    expect(code).toBe(2);
    if (isVerb(verb)) expect(remedy).toMatch(new RegExp(`^write: vhd ${verb} `));
    else {
      expect(sentence).toContain(`it would be ${verb}, which this version of vhd does not have yet`);
      expect(remedy).toMatch(/^until then: ./);
    }
  });

  it.each(['check', 'compare', 'resize', 'compact', 'merge', 'relink', 'repair', 'set', 'tree', 'hash', 'snapshot'])(
    'vhd %s says whether there is one',
    async (verb) => {
      if (isVerb(verb)) {
        expect((await vhd([verb, '--help'])).code).toBe(0);
        return;
      }
      const { code, sentence, remedy } = await told(`${verb} a.vhd`);
      expect([code, sentence]).toEqual([2, `this version of vhd does not have '${verb}' yet`]);
      expect(remedy).toMatch(/^until then: ./);
    },
  );

  it('is answered with the files at hand', async () => {
    const { remedy } = await told('resize a.vhd 20G');
    if (!isVerb('resize')) {
      expect(remedy).toBe('until then: vhd create larger.vhd 20G && vhd read a.vhd | vhd write larger.vhd');
    }
  });
});

it('what no program knows is told as it was', async () => {
  expect((await told('convert a b --forse')).remedy).toBe('did you mean --force?');
  expect((await told('convert a b -Z')).remedy).toBe('vhd convert --help shows what there is');
  expect((await told('convert a b -O vpc -Z')).remedy).toBe('vhd convert --help shows what there is');
  expect((await told('qemu-img')).remedy).toBe('vhd --help shows what there is');
});

const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
const rows = [...readme.matchAll(/^\| `([^`]+)` \| `(vhd [^`]+)` \|$/gm)].map(
  ([, theirs = '', ours = '']) => [theirs, ours] as const,
);

describe('the table of the README is what vhd answers', () => {
  it.each(rows)('%s', async (theirs, ours) => {
    // What was said to be raw stays said to be raw.
    expect((await told(theirs)).remedy.replace(' --from raw', '')).toBe(`write: ${ours}`);
  });
});
