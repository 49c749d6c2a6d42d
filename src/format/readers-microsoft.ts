import { AZURE_MAX_BYTES, AZURE_MIN_BYTES, AZURE_STEP_BYTES } from './azure-limits.ts';
import type { ReaderRule } from './reader-facts.ts';
import { CONVERT, endFooterRule, hasOddLength, lacksParent, NO_SUCH_SIZE } from './readers-common.ts';
import { MAX_DYNAMIC_SIZE, SECTOR_BYTES } from './spec.ts';

const FOR_AZURE = 'vhd convert FILE NEW --azure';
/** The sizes of blocks that the specification says were tested. */
const TESTED_BLOCK_BYTES: readonly number[] = [512 * 1024, 2 * 1024 * 1024];

/** What Azure refuses of an upload as a managed disk, by its documentation. */
export const AZURE_RULES = {
  'for.azure.type': {
    severity: 'error',
    message: 'Azure takes fixed VHDs only',
    means: 'an upload as it is, by azcopy or through the portal, makes a blob that no disk can be made of',
    mend: FOR_AZURE,
    when: ({ type }) => type !== 'fixed' && { expected: 'fixed', found: type },
  },
  'for.azure.size': {
    severity: 'error',
    message: 'Azure takes disks of whole MiB only',
    means: 'the image is refused',
    mend: FOR_AZURE,
    when: ({ virtualSize }) => virtualSize % AZURE_STEP_BYTES !== 0 && { found: `${virtualSize} bytes` },
  },
  'for.azure.small': {
    severity: 'error',
    message: 'Azure takes no disk below 20 MiB',
    means: 'the image is refused',
    mend: FOR_AZURE,
    when: ({ virtualSize }) => virtualSize < AZURE_MIN_BYTES && { found: `${virtualSize} bytes` },
  },
  'for.azure.large': {
    severity: 'error',
    message: 'Azure takes no disk above 32767 GiB',
    means: 'the image is refused',
    unmendable: 'make the disk smaller first',
    when: ({ virtualSize }) => virtualSize > AZURE_MAX_BYTES && { found: `${virtualSize} bytes` },
  },
  'for.azure.length': {
    severity: 'error',
    message: 'Azure wants a file that is the disk and a footer of 512 bytes, nothing else',
    means: 'the image is refused',
    mend: FOR_AZURE,
    when: hasOddLength,
  },
} as const satisfies Record<string, ReaderRule>;

/** What Hyper-V and Windows refuse, by their documentation and by public reports; not tried. */
export const HYPERV_RULES = {
  'for.hyperv.footer': endFooterRule('Hyper-V'),
  'for.hyperv.limit': {
    severity: 'error',
    message: 'Hyper-V takes no VHD above 2040 GiB',
    means: 'the image is refused; VHDX has no such limit',
    unmendable: NO_SUCH_SIZE,
    when: ({ virtualSize }) => virtualSize > MAX_DYNAMIC_SIZE && { found: `${virtualSize} bytes` },
  },
  'for.hyperv.size': {
    severity: 'error',
    message: 'Hyper-V takes disks of whole sectors only',
    means: 'the image is refused',
    mend: 'vhd resize FILE --round 512',
    when: ({ virtualSize }) => virtualSize % SECTOR_BYTES !== 0 && { found: `${virtualSize} bytes` },
  },
  'for.hyperv.length': {
    severity: 'error',
    message: 'Hyper-V wants a fixed VHD to be the disk and a footer of 512 bytes, nothing else',
    means: 'the image is refused',
    mend: CONVERT,
    when: hasOddLength,
  },
  'for.hyperv.sparse': {
    severity: 'warning',
    message: 'Hyper-V opens no file that is stored with holes (0xC03A001A)',
    means: 'a copy on another disk usually has none: it matters where Windows sees this very file, as through WSL',
    mend: `${CONVERT} --to fixed --preallocate`,
    when: ({ isSparseFile }) => isSparseFile,
  },
  'for.hyperv.block-size': {
    severity: 'warning',
    message: 'Windows was tested with blocks of 512 KiB and 2 MiB only',
    means: 'nobody promises that it reads others',
    mend: `${CONVERT} --block-size 2M`,
    when: ({ header }) =>
      header !== undefined && !TESTED_BLOCK_BYTES.includes(header.blockSize) && { found: `${header.blockSize} bytes` },
  },
  'for.hyperv.parent': {
    severity: 'error',
    message: 'Hyper-V does not find the parent',
    means: 'it follows the names W2ru and W2ku only, to a VHD; the image is refused',
    mend: CONVERT,
    when: (facts) =>
      lacksParent(facts, false) ||
      (facts.parent !== undefined &&
        facts.parent.relativeName === undefined &&
        facts.parent.absoluteName === undefined && { found: 'neither name' }),
  },
} as const satisfies Record<string, ReaderRule>;
