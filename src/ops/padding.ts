/** What the user is told of a source that was filled up; nothing of one that was not. */
export function paddedWarnings(byteLength: number, paddedLength: number): string[] {
  if (byteLength === paddedLength) return [];
  return [`the source was filled up with zeros from ${byteLength} to ${paddedLength} bytes`];
}
