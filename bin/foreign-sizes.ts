/** The largest dynamic disk, in MiB: what is more can only be bytes. */
const MAX_MEBIBYTES = 2040 * 1024;

/** A size that another program takes in megabytes, as ours takes it. */
export function megabytes(text: string | undefined): string {
  if (text === undefined) return 'SIZE';
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= MAX_MEBIBYTES)) return text;
  return value % 1024 === 0 && value > 0 ? `${value / 1024}G` : `${value}M`;
}
