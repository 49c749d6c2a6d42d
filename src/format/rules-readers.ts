import type { ReaderRule } from './reader-facts.ts';
import { SEVEN_ZIP_RULES } from './readers-7zip.ts';
import { LIBVHDI_RULES } from './readers-libvhdi.ts';
import { AZURE_RULES, HYPERV_RULES } from './readers-microsoft.ts';
import { QEMU_RULES } from './readers-qemu.ts';
import { VIRTUALBOX_RULES } from './readers-virtualbox.ts';
import { XENSERVER_RULES } from './readers-xen.ts';

/**
 * What other programs refuse, misread or complain of. Sources: their sources and documentation, runs of them over the
 * images of some thirty programs and over images with one defect each.
 */
export const READER_RULES = {
  ...AZURE_RULES,
  ...HYPERV_RULES,
  ...XENSERVER_RULES,
  ...VIRTUALBOX_RULES,
  ...QEMU_RULES,
  ...SEVEN_ZIP_RULES,
  ...LIBVHDI_RULES,
} as const satisfies Record<string, ReaderRule>;

/** The id of a rule about another program: `for.PROGRAM.WHAT`. */
export type ReaderRuleId = keyof typeof READER_RULES;
