import type { Rule } from './rule.ts';

const ODD_FIELD = 'most programs do not look at it';

/** What can be wrong with a file as a whole, with its footers and with what they say of the size. */
export const FILE_AND_FOOTER_RULES = {
  'file.in-use': {
    severity: 'warning',
    message: 'another program is writing to the file: what is told of it may be out of date',
    means: 'what is found now may be gone in a moment, and must not be mended',
    unmendable: 'wait for the other program, or close it',
  },
  'file.journal': {
    severity: 'error',
    message: 'an operation that changes it in place was begun and not finished',
    means: 'nothing opens the image until that operation is finished or taken back',
    mend: 'vhd undo FILE',
  },
  'file.truncated': {
    severity: 'error',
    message: 'the file ends before the blocks that it should hold',
    means: 'the data of these blocks is not in the file: a copy or a download of it was cut off',
    unmendable: 'the bytes are not in this file: copy it again from where it came from',
  },
  'file.unaligned': {
    severity: 'warning',
    message: 'the file is no whole number of sectors long',
    means: 'programs that read whole sectors do not find its footer',
    mend: 'vhd repair FILE',
  },
  'file.leaked': {
    severity: 'note',
    message: 'the file holds space that nothing refers to',
    means: 'the file is larger than it has to be; or the table has lost entries, and there are their blocks',
    mend: 'vhd compact FILE',
  },
  'footer.missing': {
    severity: 'error',
    message: 'there is no valid footer where one belongs',
    means: 'no program takes the file for a VHD',
    unmendable:
      'nothing tells the size of the disk: vhd id says what the file is; of a raw disk vhd convert --from raw makes a VHD',
  },
  'footer.displaced': {
    severity: 'error',
    message: 'the footer is not at the end of the file',
    means: 'most programs do not take the file for a VHD, because bytes were appended to it or cut from it',
    mend: 'vhd repair FILE --cut',
  },
  'footer.cookie': {
    severity: 'error',
    message: 'the footer does not begin with its cookie',
    means: 'no program takes these bytes for a footer',
    mend: 'vhd repair FILE',
  },
  'footer.checksum': {
    severity: 'error',
    message: 'the footer checksum does not fit its bytes',
    means: 'a field of the footer may be wrong, and most programs refuse it',
    mend: 'vhd repair FILE',
  },
  'footer.poisoned': {
    severity: 'error',
    message: 'the image is open in another program, or was left disabled by one (blktap)',
    means: 'most programs refuse it until the footer at the end is written again',
    mend: 'vhd repair FILE',
  },
  'footer.version': {
    severity: 'error',
    message: 'the footer has an unknown format version',
    means: 'nobody has specified what its fields mean',
    unmendable: 'what another version of the format means is not known',
  },
  'footer.type': {
    severity: 'error',
    message: 'the footer names no known disk type',
    means: 'how the disk lies in the file cannot be told, and some programs show the headers as its data',
    mend: 'vhd repair FILE',
  },
  'footer.size': {
    severity: 'error',
    message: 'the virtual size cannot be right',
    means: 'no program can give the disk so many bytes',
    unmendable: 'the size of the disk stands nowhere else',
  },
  'footer.size-zero': {
    severity: 'warning',
    message: 'the disk has no bytes',
    means: 'some programs refuse the image, and there is nothing to read',
    unmendable: 'a disk without bytes holds nothing that could be lost: make a new one with vhd create',
  },
  'footer.size-sectors': {
    severity: 'warning',
    message: 'the virtual size is not a whole number of sectors',
    means: 'some programs cut the last bytes of the disk off',
    mend: 'vhd resize FILE --round 512',
  },
  'footer.original-size': {
    severity: 'note',
    message: 'the size at creation is not the size now: the disk was resized',
    means: 'libvhdi takes the size at creation for the size of the disk; no other program does',
    mend: 'vhd convert FILE NEW',
  },
  'footer.data-offset': {
    severity: 'error',
    message: 'the footer does not point to a dynamic header inside the file',
    means: 'the table of blocks cannot be found, and with it none of the data',
    mend: 'vhd repair FILE',
  },
  'footer.data-offset-unused': {
    severity: 'note',
    message: 'the unused data offset of the footer of a fixed disk is not all ones',
    means: ODD_FIELD,
    mend: 'vhd repair FILE',
  },
  'footer.features': {
    severity: 'note',
    message: 'the feature bits are not those the specification asks for',
    means: 'vhd-util (XenServer) refuses the image',
    mend: 'vhd repair FILE',
  },
  'footer.temporary': {
    severity: 'note',
    message: 'the image is marked temporary, to be deleted on shutdown',
    means: 'the program that made it may delete it',
    mend: 'vhd convert FILE NEW',
  },
  'footer.saved-state': {
    severity: 'warning',
    message: 'a virtual machine was saved with this image',
    means:
      'what the machine had not written yet is in its saved state: changing the disk now can corrupt its file systems',
    unmendable: 'resume the machine and shut it down, or discard its saved state, in the program that runs it',
  },
  'footer.future': {
    severity: 'warning',
    message: 'the time stamp lies in the future',
    means:
      'vhd-util (XenServer) and the checker of DiscUtils refuse it; programs that count from 1970 instead of 2000 write it so',
    mend: 'vhd set FILE --timestamp now',
  },
  'footer.uuid-null': {
    severity: 'warning',
    message: 'the identifier is all zeros',
    means: 'no child can tell the image from another, and VirtualBox may refuse a second one',
    mend: 'vhd set FILE --uuid new',
  },
  'footer.reserved': {
    severity: 'note',
    message: 'the reserved bytes of the footer are not zero',
    means: '7-Zip and DiscUtils refuse the image',
    mend: 'vhd convert FILE NEW',
  },
  'footer.hidden': {
    severity: 'note',
    message: 'the image is marked hidden (blktap, byte 85)',
    means: 'XenServer has merged it into another image, or waits to delete it; 7-Zip and DiscUtils refuse it',
    mend: 'vhd convert FILE NEW',
  },
  'footer.hidden-checksum': {
    severity: 'warning',
    message: 'the checksum is right only without the hidden mark (early blktap)',
    means: 'most programs take the footer for damaged',
    mend: 'vhd repair FILE',
  },
  'footer.legacy': {
    severity: 'warning',
    message: 'the footer has 511 bytes, as before Virtual PC 2004',
    means: 'qemu, VirtualBox, libvhdi and others do not find the footer',
    mend: 'vhd repair FILE',
  },
  'footer.end-missing': {
    severity: 'warning',
    message: 'the footer at the end is missing or broken; the copy at offset 0 is used',
    means:
      'XenServer refuses the image, and so do libvhdi, VirtualBox and Windows unless the footer still begins with its cookie; what the copy tells of can be read',
    mend: 'vhd repair FILE',
  },
  'footer.copy-missing': {
    severity: 'warning',
    message: 'the footer copy at offset 0 is missing or broken',
    means: 'qemu and 7-Zip refuse the image, and the next crash may cost its only footer',
    mend: 'vhd repair FILE',
  },
  'footer.copy-differs': {
    severity: 'warning',
    message: 'the footer and its copy at offset 0 are not the same; the one at the end is used',
    means: 'programs that read the copy see something else, such as another size',
    mend: 'vhd repair FILE --footer end',
  },
  'footer.copy-contradicts': {
    severity: 'error',
    message: 'the footers at both ends describe different images',
    means: 'different programs see different disks in this file',
    mend: 'vhd repair FILE --footer end',
  },
  'geometry.size': {
    severity: 'note',
    message: 'the CHS geometry is not the one the specification computes for the size',
    means: 'programs that take the size from it (qemu before version 10, Virtual PC) see another size',
    mend: 'vhd set FILE --chs auto',
  },
  'geometry.maximum': {
    severity: 'note',
    message: 'the CHS geometry is the largest there is, though the disk is smaller',
    means: 'qemu takes the size field then, as it should; vhd-util (XenServer) refuses the image',
    mend: 'vhd set FILE --chs auto',
  },
  'geometry.too-large': {
    severity: 'warning',
    message: 'the CHS geometry is larger than the disk',
    means: 'programs that take the size from it read past the end of the disk; vhd-util (XenServer) refuses the image',
    mend: 'vhd set FILE --chs auto',
  },
} as const satisfies Record<string, Rule>;
