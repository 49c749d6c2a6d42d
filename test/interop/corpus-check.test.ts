// What `check` says of images that nobody on this project wrote, rule by rule: none of those that are whole has an error.
import { beforeAll, expect, test } from 'vitest';
import { check } from '../../src/ops/check.ts';
import { corpusImages, describeWithCorpus, unpackCorpus } from '../support/corpus.ts';
import { useTempFolder } from '../support/temp.ts';

/** When the images were collected: later time stamps were in the future then. */
const NOW = new Date('2026-11-28T00:00:00Z');

/** What is found in a deep check, and in which images. */
const EXPECTED: readonly (readonly [findings: string, names: readonly string[]])[] = [
  [
    '',
    [
      'andreiw-win7fixed.vhd',
      'chain-dfvfs-ntfs/ntfs-differential.vhd',
      'chain-dfvfs-ntfs/ntfs-parent.vhd',
      'chain-go-vhd-win8/win8-child.vhd',
      'chain-go-vhd-win8/win8.vhd',
      'dfvfs-ntfs-dynamic.vhd',
      'dfvfs-ntfs-fixed.vhd',
      'dissect-dynamic.vhd',
      'dissect-fixed.vhd',
      'freebsd-mkimg-1x1-4096-gpt-fixed.vhd',
      'gen-blktap/bt-100G.vhd',
      'gen-blktap/bt-2040G.vhd',
      'gen-discutils/du-built-fixed.vhd',
      'gen-dosbox-x/dx2040g.vhd',
      'gen-dosbox-x/dxraw.vhd',
      'gen-fattools/ft-2040G.vhd',
      'gen-fattools/ft-odd.vhd',
      'gen-go-vhd/gv-fixed20.vhd',
      'gen-go-vhd/gv-sparse-40M.vhd',
      'gen-minivhd/mv-127G.vhd',
      'gen-minivhd/mv-2040G.vhd',
      'gen-minivhd/mv-fixed40.vhd',
      'gen-qemu11.1/q11-dynamic-10000001-fsoff.vhd',
      'gen-qemu11.1/q11-dynamic-2040G.vhd',
      'gen-qemu11.1/q11-dynamic-3M-fsoff.vhd',
      'gen-qemu11.1/q11-fixed-10000001-fsoff.vhd',
      'gen-qemu11.1/q11-fixed-3M-fsoff.vhd',
      'gen-qemu7.2/q-dynamic-1-fsoff.vhd',
      'gen-qemu7.2/q-dynamic-10000001-fsoff.vhd',
      'gen-qemu7.2/q-dynamic-100G-fsoff.vhd',
      'gen-qemu7.2/q-dynamic-1024-fsoff.vhd',
      'gen-qemu7.2/q-dynamic-127G-fsoff.vhd',
      'gen-qemu7.2/q-dynamic-128G-fsoff.vhd',
      'gen-qemu7.2/q-dynamic-128G-fson.vhd',
      'gen-qemu7.2/q-dynamic-136899993600-fsoff.vhd',
      'gen-qemu7.2/q-dynamic-136899993600-fson.vhd',
      'gen-qemu7.2/q-dynamic-2040G-fsoff.vhd',
      'gen-qemu7.2/q-dynamic-2040G-fson.vhd',
      'gen-qemu7.2/q-dynamic-3M-fsoff.vhd',
      'gen-qemu7.2/q-dynamic-40M-fsoff.vhd',
      'gen-qemu7.2/q-dynamic-512-fsoff.vhd',
      'gen-qemu7.2/q-dynamic-5244416-fsoff.vhd',
      'gen-qemu7.2/q-fixed-1-fsoff.vhd',
      'gen-qemu7.2/q-fixed-10000001-fsoff.vhd',
      'gen-qemu7.2/q-fixed-1024-fsoff.vhd',
      'gen-qemu7.2/q-fixed-3M-fsoff.vhd',
      'gen-qemu7.2/q-fixed-40M-fsoff.vhd',
      'gen-qemu7.2/q-fixed-512-fsoff.vhd',
      'gen-qemu7.2/q-fixed-5244416-fsoff.vhd',
      'gen-virtualbox/vb-conv-fixed20.vhd',
      'gen-virtualbox/vb-dyn-100G.vhd',
      'gen-virtualbox/vb-dyn-1s.vhd',
      'gen-virtualbox/vb-dyn-2040G.vhd',
      'gen-virtualbox/vb-dyn-40M.vhd',
      'gen-virtualbox/vb-dyn-4T.vhd',
      'gen-virtualbox/vb-dyn-odd.vhd',
      'gen-virtualbox/vb-fixed-40M.vhd',
      'gen-virtualbox/vbm-base.vhd',
      'gen-virtualbox/vbm-fixed.vhd',
      'gen-xmount/xm-fixed20.vhd',
      'go-vhd-qemu.vhd',
      'go-vhd-vbox.vhd',
      'go-vhd-win8.1-1GB.vhd',
      'go-vhd-xapi.vhd',
      'imhex-vhd-fixed.vhd',
      'node-vhd-dynamic-2016.vhd',
      'node-vhd-dynamic-2017.vhd',
      'node-vhd-fixed.vhd',
      'octo-hex-os-disk.vhd',
      'osdev-felix-os.vhd',
      'qemu-iotests-hyperv2012r2-dynamic.vhd',
      'qemu-iotests-virtualpc-dynamic.vhd',
      'rdisk-du.vhd',
      'rdisk-dynamic-small-gpt.vhd',
      'securityronin-fixed.vhd',
      'securityronin-minimal.vhd',
      'vhd-shell-caml-empty.vhd',
    ],
  ],
  ['error bat.short', ['gen-go-vhd/gv-sparse-odd.vhd']],
  [
    'error file.truncated, error bat.out-of-file, warning footer.end-missing, note bat.long',
    ['gen-blktap/bt-dyn40-S.vhd'],
  ],
  ['error footer.checksum', ['chain-dfvfs-image/image-differential.vhd', 'chain-dfvfs-image/image.vhd']],
  ['error footer.missing', ['negative/mister-vhdtool-raw-20M.vhd']],
  ['error header.table-offset', ['gen-go-vhd/gv-sparse-2040G.vhd']],
  [
    'note bat.unaligned',
    [
      'andreiw-win7dyn.vhd',
      'dfvfs-ext2-2019.vhd',
      'dfvfs-ext2-2021.vhd',
      'freebsd-mkimg-1x1-512-gpt.vhd',
      'gen-discutils/du-built-dyn.vhd',
      'gen-discutils/du-child.vhd',
      'gen-discutils/du-dyn40.vhd',
      'gen-discutils/du-grandchild.vhd',
      'gen-fattools/ft-dyn40.vhd',
      'gen-qemu11.1/q11-conv-dyn40.vhd',
      'gen-qemu7.2/q-conv-dyn40.vhd',
      'gen-virtualbox/vb-conv-dyn40.vhd',
      'gen-virtualbox/vbm-child.vhd',
      'gen-virtualbox/vbm-grandchild.vhd',
      'gen-virtualbox/vbm-parent.vhd',
      'pugnator-dos.vhd',
      'sleuthkit-image.vhd',
    ],
  ],
  [
    'note bat.unaligned, note bitmap.partial',
    [
      'gen-discutils/du-dyn-2040G.vhd',
      'gen-discutils/du-dyn-blk16M.vhd',
      'gen-discutils/du-dyn-odd.vhd',
      'gen-dosbox-x/dxdyn.vhd',
      'gen-minivhd/mv-conv40.vhd',
      'gen-minivhd/mv-dyn40-small.vhd',
      'gen-minivhd/mv-dyn40.vhd',
    ],
  ],
  ['note footer.hidden, note bitmap.partial', ['gen-blktap/bt-hidden.vhd']],
  ['note footer.original-size', ['securityronin-original-size-mismatch.vhd']],
  ['note footer.original-size, note geometry.size', ['gen-virtualbox/vbm-resized.vhd']],
  ['note footer.reserved', ['rdisk-fixed-small.vhd']],
  [
    'note geometry.maximum',
    [
      'gen-qemu11.1/q11-dynamic-10000001-fson.vhd',
      'gen-qemu11.1/q11-dynamic-3M-fson.vhd',
      'gen-qemu11.1/q11-fixed-10000001-fson.vhd',
      'gen-qemu11.1/q11-fixed-3M-fson.vhd',
      'gen-qemu7.2/q-conv-fixed20.vhd',
      'gen-qemu7.2/q-dynamic-1-fson.vhd',
      'gen-qemu7.2/q-dynamic-10000001-fson.vhd',
      'gen-qemu7.2/q-dynamic-100G-fson.vhd',
      'gen-qemu7.2/q-dynamic-1024-fson.vhd',
      'gen-qemu7.2/q-dynamic-127G-fson.vhd',
      'gen-qemu7.2/q-dynamic-3M-fson.vhd',
      'gen-qemu7.2/q-dynamic-40M-fson.vhd',
      'gen-qemu7.2/q-dynamic-512-fson.vhd',
      'gen-qemu7.2/q-dynamic-5244416-fson.vhd',
      'gen-qemu7.2/q-fixed-1-fson.vhd',
      'gen-qemu7.2/q-fixed-10000001-fson.vhd',
      'gen-qemu7.2/q-fixed-1024-fson.vhd',
      'gen-qemu7.2/q-fixed-3M-fson.vhd',
      'gen-qemu7.2/q-fixed-40M-fson.vhd',
      'gen-qemu7.2/q-fixed-512-fson.vhd',
      'gen-qemu7.2/q-fixed-5244416-fson.vhd',
    ],
  ],
  [
    'note geometry.maximum, note bat.unaligned',
    ['gen-qemu7.2/q-conv-dyn20-fson.vhd', 'qemu-iotests-d2v-zerofilled.vhd'],
  ],
  [
    'note geometry.size',
    ['freebsd-mkimg-63x255-512-gpt-fixed.vhd', 'gen-dosbox-x/dxfix.vhd', 'gen-hcsshim/hs-tar2ext4.vhd'],
  ],
  ['note geometry.size, note bat.unaligned', ['freebsd-mkimg-63x255-512-mbr.vhd']],
  [
    'warning footer.future',
    [
      'gen-andreiw-vhdtool/aw-512.vhd',
      'gen-andreiw-vhdtool/aw-conv20-blk4k.vhd',
      'gen-andreiw-vhdtool/aw-conv20-blk64k.vhd',
      'gen-andreiw-vhdtool/aw-convfixed20.vhd',
      'gen-andreiw-vhdtool/aw-dyn-blk512k.vhd',
      'gen-andreiw-vhdtool/aw-dyn40.vhd',
      'gen-andreiw-vhdtool/aw-fixed10.vhd',
      'gen-xo-vhd-lib/xo-fixed20.vhd',
    ],
  ],
  ['warning footer.future, note bat.unaligned, note bitmap.partial', ['gen-xo-vhd-lib/xo-sparse40.vhd']],
  [
    'warning footer.size-zero, note geometry.maximum',
    ['gen-qemu7.2/q-dynamic-0-fson.vhd', 'gen-qemu7.2/q-fixed-0-fson.vhd'],
  ],
  [
    'warning footer.size-zero, note geometry.size',
    ['gen-qemu7.2/q-dynamic-0-fsoff.vhd', 'gen-qemu7.2/q-fixed-0-fsoff.vhd'],
  ],
  ['warning footer.uuid-null', ['gen-bochs/bx-300M.vhd', 'gen-vorteil/vt-fixed20.vhd']],
  ['warning footer.uuid-null, note bat.unaligned', ['dfvfs-image-2013.vhd']],
  ['warning footer.uuid-null, note file.leaked, note bat.unaligned', ['gen-vorteil/vt-dyn40.vhd']],
  ['warning footer.uuid-null, note geometry.size', ['gen-bochs/bx-10M.vhd']],
  ['warning footer.uuid-null, note geometry.size, note bat.long, note bat.unaligned', ['gen-bochs/bx-conv40.vhd']],
  ['warning geometry.too-large, note footer.reserved', ['gen-simh/si-rd51-fixed.vhd', 'gen-simh/si-rd54-dyn.vhd']],
  ['warning geometry.too-large, warning partition.past-end, note footer.reserved', ['gen-simh/si-copy20.vhd']],
  ['warning parent.raw, note parent.uuid-null', ['gen-blktap/bt-rawchild.vhd']],
  ['warning parent.same-uuid', ['gen-dosbox-x/dxchild.vhd', 'gen-dosbox-x/dxgrand.vhd']],
  ['warning parent.same-uuid, note bat.unaligned', ['gen-minivhd/mv-child.vhd', 'gen-minivhd/mv-grandchild.vhd']],
  [
    'warning partition.past-end',
    ['gen-blktap/bt-fixed10.vhd', 'gen-discutils/du-fixed20.vhd', 'gen-fattools/ft-fixed20.vhd'],
  ],
  ['warning partition.past-end, note bat.unaligned, note bitmap.partial', ['gen-discutils/du-dyn-blk512k.vhd']],
  ['warning partition.table, note bat.unaligned', ['neural-os-disk.vhd']],
];

describeWithCorpus('the images of the corpus, checked', () => {
  const temp = useTempFolder('corpus-check');
  const whole = corpusImages.filter(({ name, isFragment }) => !isFragment && !name.startsWith('malformed/'));

  beforeAll(async () => {
    await unpackCorpus(temp.path);
  });

  test('are all in the table', () => {
    expect(EXPECTED.flatMap(([, names]) => names).sort()).toEqual(whole.map(({ name }) => name).sort());
  });

  for (const [expected, names] of EXPECTED) {
    test(`${names.length} images: ${expected === '' ? 'nothing found' : expected}`, async () => {
      for (const name of names) {
        const { ok, findings } = await check(temp.file(name), { deep: true, now: NOW });
        const found = findings.map(({ severity, rule }) => `${severity} ${rule}`).join(', ');
        expect(`${name}: ${found}`).toBe(`${name}: ${expected}`);
        if (!ok) expect(corpusImages.find((image) => image.name === name)?.isDamaged).toBe(true);
      }
    });
  }

  test('say nothing of a raw parent that is allowed, and check every image of a chain', async () => {
    const { findings } = await check(temp.file('gen-blktap/bt-rawchild.vhd'), { allowRawParent: true, now: NOW });
    expect(findings.map(({ rule }) => rule)).not.toContain('parent.raw');
    const chain = await check(temp.file('gen-discutils/du-grandchild.vhd'), { chain: true, now: NOW });
    expect(chain.findings.map(({ rule, path }) => [rule, path])).toEqual(
      ['du-grandchild', 'du-child', 'du-dyn40'].map((name) => [
        'bat.unaligned',
        temp.file(`gen-discutils/${name}.vhd`),
      ]),
    );
  });
});
