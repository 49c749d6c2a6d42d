import type { Rule } from './rule.ts';

/** What can be wrong with the dynamic header, the table of blocks, the blocks and their bitmaps. */
export const BLOCK_RULES = {
  'header.cookie': {
    severity: 'error',
    message: 'the dynamic header does not begin with its cookie',
    means: 'the table of blocks cannot be found, and with it none of the data',
    mend: 'vhd repair FILE --rebuild-bat',
  },
  'header.checksum': {
    severity: 'error',
    message: 'the dynamic header checksum does not fit its bytes',
    means: 'a field of the header may be wrong: programs that do not check it may read other bytes',
    mend: 'vhd repair FILE',
  },
  'header.version': {
    severity: 'error',
    message: 'the dynamic header has an unknown version',
    means: 'nobody has specified what its fields mean',
    unmendable: 'what another version of the header means is not known',
  },
  'header.data-offset': {
    severity: 'note',
    message: 'the unused data offset of the dynamic header is not all ones',
    means: 'blktap (XenServer) refuses the image',
    mend: 'vhd repair FILE',
  },
  'header.block-size': {
    severity: 'error',
    message: 'the block size is not a power of two of at least one sector',
    means: 'where a byte of the disk lies in the file cannot be told',
    mend: 'vhd repair FILE --rebuild-bat',
  },
  'header.table-offset': {
    severity: 'error',
    message: 'the dynamic header does not point to a table inside the file',
    means: 'which blocks there are cannot be told',
    mend: 'vhd repair FILE --rebuild-bat',
  },
  'header.parent': {
    severity: 'warning',
    message: 'a disk without a parent names one',
    means: 'if it was a child whose type was changed, all that its parent has reads as zeros',
    unmendable: 'nothing in the file tells which is right: vhd info shows the parent that it names',
  },
  'header.reserved': {
    severity: 'note',
    message: 'the reserved bytes of the dynamic header are not zero',
    means: '7-Zip and DiscUtils refuse the image',
    mend: 'vhd repair FILE',
  },
  'bat.short': {
    severity: 'error',
    message: 'the block allocation table has fewer entries than the size needs',
    means: 'the end of the disk has no place in the file, and most programs refuse the image',
    mend: 'vhd repair FILE --rebuild-bat',
  },
  'bat.limit': {
    severity: 'error',
    message: 'the block allocation table is larger than this library holds in memory',
    means: 'the disk is larger than the format allows, or its blocks are much smaller than usual',
    unmendable: 'no VHD of this size can be read with blocks of this size',
  },
  'bat.long': {
    severity: 'note',
    message: 'the block allocation table has more entries than the size needs',
    means: '7-Zip refuses the image',
    mend: 'vhd repair FILE',
  },
  'bat.out-of-file': {
    severity: 'error',
    message: 'a block lies past the end of the file',
    means: 'the data of this block cannot be read; other programs read zeros or the footer instead',
    mend: 'vhd repair FILE --drop-blocks',
  },
  'bat.in-metadata': {
    severity: 'error',
    message: 'a block lies over the headers or the table',
    means: 'other programs show the headers as data, and destroy the image if they write there',
    mend: 'vhd repair FILE --drop-blocks',
  },
  'bat.overlap': {
    severity: 'error',
    message: 'two blocks share the same place',
    means:
      'one of them shows the data of the other, and a write to one changes both; which one is right cannot be told',
    mend: 'vhd repair FILE --drop-blocks',
  },
  'bat.misaligned': {
    severity: 'note',
    message: 'some blocks lie on another alignment than the others',
    means:
      'writing to these blocks is slower, and tools that reckon with one distance between blocks misread the image',
    mend: 'vhd convert FILE NEW',
  },
  'bat.unaligned': {
    severity: 'note',
    message: 'the data of the blocks does not begin on 4 KiB',
    means: 'small writes are slower on disks with sectors of 4 KiB',
    mend: 'vhd convert FILE NEW',
  },
  'fixed.short': {
    severity: 'error',
    message: 'the file holds fewer bytes than the virtual disk',
    means: 'the end of the disk is not in the file: a copy or a download of it was cut off',
    unmendable: 'the bytes are not in this file: copy it again from where it came from',
  },
  'fixed.long': {
    severity: 'warning',
    message: 'the file holds more bytes than the virtual disk',
    means:
      'the bytes between the end of the disk and the footer are not to be seen; some programs show them as part of the disk',
    mend: 'vhd repair FILE --cut',
  },
  'bitmap.data-under-clear-bit': {
    severity: 'error',
    message: 'sectors marked as never written hold bytes',
    means: 'some programs read zeros there, others the bytes',
    mend: 'vhd repair FILE --set-bits',
  },
  'bitmap.partial': {
    severity: 'note',
    message: 'blocks of a dynamic disk have sectors marked as never written',
    means: 'they read as zeros, as they should; writing is slower until they are all marked',
    mend: 'vhd repair FILE --set-bits',
  },
  'batmap.range': {
    severity: 'warning',
    message: 'the batmap (blktap) does not lie where it can',
    means: 'XenServer may refuse the image; nobody else reads the batmap',
    mend: 'vhd convert FILE NEW',
  },
  'batmap.checksum': {
    severity: 'warning',
    message: 'the checksum of the batmap (blktap) does not fit its bytes',
    means: 'XenServer may refuse the image; nobody else reads the batmap',
    mend: 'vhd convert FILE NEW',
  },
} as const satisfies Record<string, Rule>;
