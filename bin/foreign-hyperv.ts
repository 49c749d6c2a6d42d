import type { Dialect, ForeignCall, Translation } from './foreign-call.ts';
import { quoted } from './shell-words.ts';

/** Parameters that every cmdlet has, and those that say where it runs. */
const ALONE = '-Passthru -AsJob -WhatIf -Confirm -Verbose -Debug';
const VALUED = '-ComputerName -CimSession -Credential -ErrorAction';

/** `10GB` of PowerShell is 10 GiB, which is `10G` here. */
function sizeOf(text: string | undefined): string {
  const [, digits, unit] = /^\(?(\d+(?:\.\d+)?)\s*([KMGT])B\)?$/i.exec(text ?? '') ?? [];
  return digits === undefined || unit === undefined ? (text ?? 'SIZE') : `${digits}${unit.toUpperCase()}`;
}

/** The only other sizes of a block are refused by our own flag. */
function blockSizeOf(call: ForeignCall): string[] {
  const text = call.value('-BlockSizeBytes');
  if (text === undefined) return [];
  return ['--block-size', { '2097152': '2M', '524288': '512K' }[text] ?? sizeOf(text)];
}

/** The file, given by its parameter or in its place. */
function pathOf(call: ForeignCall, placeholder = 'IMAGE'): string {
  return call.value('-Path') ?? call.operands[0] ?? placeholder;
}

/** What stands in the second place, unless the first one was given by name. */
function secondOf(call: ForeignCall): string | undefined {
  return call.operands[call.has('-Path') ? 0 : 1];
}

function noteOn(path: string): string | undefined {
  return /\.a?vhdx$/i.test(path) ? 'vhd makes VHD, not VHDX: name it .vhd' : undefined;
}

function create(call: ForeignCall): Translation {
  const path = pathOf(call);
  const parent = call.value('-ParentPath');
  const type = call.value('-VHDType')?.toLowerCase();
  const given = call.value('-SizeBytes') ?? secondOf(call);
  if (call.has('-SourceDisk')) {
    return { advice: 'vhd makes no image of an attached disk: copy it to a file, convert that' };
  }
  if (call.has('-Differencing') || type === 'differencing' || parent !== undefined) {
    return call.ours('create', path, '--parent', parent ?? 'PARENT.vhd');
  }
  const words = [
    'create',
    path,
    sizeOf(given),
    ...(call.has('-Fixed') || type === 'fixed' ? ['--type', 'fixed'] : []),
    ...blockSizeOf(call),
  ];
  return { calls: [[...words, ...call.kept]], note: noteOn(path) };
}

function convert(call: ForeignCall): Translation {
  const [path, target] = [pathOf(call, 'SRC'), call.value('-DestinationPath') ?? secondOf(call) ?? 'DST'];
  const type = call.value('-VHDType')?.toLowerCase();
  const parent = type === 'differencing' ? ['--parent', call.value('-ParentPath') ?? 'PARENT.vhd'] : [];
  const to = type === 'fixed' ? ['--to', 'fixed'] : [];
  const note = call.has('-DeleteSource')
    ? 'the source stays: remove it when the copy is to your liking'
    : noteOn(target);
  return { calls: [['convert', path, target, ...to, ...parent, ...blockSizeOf(call), ...call.kept]], note };
}

function show(call: ForeignCall): Translation {
  if (call.has('-VMId', '-DiskNumber')) return { advice: 'vhd knows files, not machines and disks: vhd info IMAGE' };
  return call.ours('info', pathOf(call));
}

function resize(call: ForeignCall): Translation {
  if (call.has('-ToMinimumSize')) return { advice: 'say the size: vhd info shows the present one' };
  return call.ours('resize', pathOf(call), sizeOf(call.value('-SizeBytes') ?? secondOf(call)));
}

function change(call: ForeignCall): Translation {
  if (call.has('-ResetDiskIdentifier')) return call.ours('set', pathOf(call), '--uuid', 'new');
  const parent = call.value('-ParentPath');
  if (parent === undefined) return { advice: 'sectors of a VHD have 512 bytes; only a VHDX says otherwise' };
  const mismatch = call.has('-IgnoreIdMismatch') ? '--allow-uuid-mismatch' : undefined;
  return call.ours('relink', pathOf(call), '--parent', parent, mismatch);
}

const noMount = (call: ForeignCall): Translation => ({
  advice: `vhd mounts nothing; vhd convert ${quoted(pathOf(call))} disk.raw makes a file that mount -o loop takes`,
});

/** The parameter that a word stands for: in any case, cut short as far as it stays one of a kind. */
function parameterOf(word: string, parameters: readonly string[]): string | undefined {
  const start = word.toLowerCase();
  const meant = parameters.filter((name) => name.toLowerCase().startsWith(start));
  return (
    meant.find((name) => name.toLowerCase() === start) ??
    (meant.length === 1 && start.length > 2 ? meant[0] : undefined)
  );
}

/** The cmdlets of Hyper-V. */
export const HYPERV: Dialect = {
  program: 'Hyper-V',
  commands: ['powershell', 'pwsh'],
  flagOf: parameterOf,
  verbs: {
    'New-VHD': {
      ours: 'create',
      alone: `-Dynamic -Fixed -Differencing ${ALONE}`,
      valued: `-Path -SizeBytes -VHDType -ParentPath -BlockSizeBytes -LogicalSectorSizeBytes -PhysicalSectorSizeBytes -SourceDisk ${VALUED}`,
      translate: create,
    },
    'Convert-VHD': {
      ours: 'convert',
      alone: `-DeleteSource ${ALONE}`,
      valued: `-Path -DestinationPath -VHDType -ParentPath -BlockSizeBytes -AddressAbstractionType ${VALUED}`,
      translate: convert,
    },
    'Get-VHD': { ours: 'info', alone: ALONE, valued: `-Path -VMId -DiskNumber ${VALUED}`, translate: show },
    'Resize-VHD': {
      ours: 'resize',
      alone: `-ToMinimumSize ${ALONE}`,
      valued: `-Path -SizeBytes ${VALUED}`,
      translate: resize,
    },
    'Optimize-VHD': {
      ours: 'compact',
      alone: ALONE,
      valued: `-Path -Mode ${VALUED}`,
      translate: (call) => call.ours('compact', pathOf(call)),
    },
    'Merge-VHD': {
      ours: 'merge',
      alone: ALONE,
      valued: `-Path -DestinationPath ${VALUED}`,
      translate: (call) => {
        const target = call.value('-DestinationPath') ?? secondOf(call);
        return call.ours('merge', pathOf(call, 'CHILD'), ...(target === undefined ? [] : ['--into', target]));
      },
    },
    'Test-VHD': {
      ours: 'check',
      alone: ALONE,
      valued: `-Path ${VALUED}`,
      translate: (call) => call.ours('check', pathOf(call)),
    },
    'Set-VHD': {
      alone: `-ResetDiskIdentifier -IgnoreIdMismatch ${ALONE}`,
      valued: `-Path -ParentPath -LeafPath -PhysicalSectorSizeBytes ${VALUED}`,
      translate: change,
    },
    'Mount-VHD': { alone: `-ReadOnly -NoDriveLetter ${ALONE}`, valued: `-Path ${VALUED}`, translate: noMount },
    'Mount-DiskImage': { alone: ALONE, valued: `-ImagePath -Path -Access ${VALUED}`, translate: noMount },
    'Dismount-VHD': {
      alone: ALONE,
      valued: `-Path -DiskNumber ${VALUED}`,
      translate: () => ({ advice: 'vhd mounts nothing, so there is nothing to dismount' }),
    },
  },
};
