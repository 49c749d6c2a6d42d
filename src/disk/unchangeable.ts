import type { Footer } from '../format/footer.ts';
import type { Finding } from '../format/rules.ts';

/** Why what an image holds must stay as it is, or must not be built upon. */
export interface Unchangeable {
  /** What it is: open elsewhere or left so, merged by another program, or kept with a machine that was saved. */
  readonly kind: 'poisoned' | 'hidden' | 'saved';
  /** Half a sentence. */
  readonly why: string;
}

/** What speaks against changing an image; undefined if nothing does. */
export function whyUnchangeable(image: {
  readonly findings: readonly Finding[];
  readonly footer: Footer;
}): Unchangeable | undefined {
  if (image.findings.some((item) => item.rule === 'footer.poisoned')) {
    const why = 'another program has it open, or crashed while it had (its end footer is overwritten)';
    return { kind: 'poisoned', why };
  }
  // blktap sets the first reserved byte of what it has merged.
  if (image.footer.reserved[0] === 1) {
    const why = 'it is marked hidden: another program has merged it into a child and waits to delete it';
    return { kind: 'hidden', why };
  }
  return image.footer.savedState === 0 ? undefined : { kind: 'saved', why: 'a virtual machine is saved with it' };
}
