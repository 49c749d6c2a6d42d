const UNITS = ['K', 'M', 'G', 'T'] as const;

/** A number of bytes for people, such as `1.5 GiB`; exact below 1024. */
export function formatBytes(byteLength: number): string {
  if (byteLength < 1024) return byteLength === 1 ? '1 byte' : `${byteLength} bytes`;
  const power = Math.min(Math.floor(Math.log2(byteLength) / 10), UNITS.length);
  const rounded = (byteLength / 1024 ** power).toFixed(2).replace(/\.?0+$/, '');
  return `${rounded} ${UNITS[power - 1] ?? ''}iB`;
}
