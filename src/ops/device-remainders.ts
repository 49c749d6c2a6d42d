import { readLatin1 } from '../format/bytes.ts';
import { FOOTER_BYTES, FOOTER_COOKIE } from '../format/spec.ts';
import { GPT_SIGNATURE } from '../inspect/gpt-header.ts';
import type { Storage } from '../storage/storage.ts';

/** What lies behind an image on a larger device and will confuse somebody, one sentence each. */
export async function remainders(storage: Storage, byteLength: number, deviceSize: number): Promise<string[]> {
  const textAt = async (position: number): Promise<string> => {
    const bytes = new Uint8Array(GPT_SIGNATURE.length);
    if (position + bytes.length <= deviceSize) await storage.read(bytes, position);
    return readLatin1(bytes, 0, bytes.length);
  };
  if (byteLength === deviceSize) return [];
  const notes: string[] = [];
  for (const sectorBytes of [512, 4096]) {
    const hasTable = sectorBytes < byteLength && (await textAt(sectorBytes)) === GPT_SIGNATURE;
    const backupOffset = deviceSize - sectorBytes;
    const hasOldBackup = backupOffset >= byteLength && (await textAt(backupOffset)) === GPT_SIGNATURE;
    if (hasOldBackup) notes.push(`an old backup partition table (GPT) is left at its end, offset ${backupOffset}`);
    if (hasTable) {
      notes.push('the backup of its partition table (GPT) is not at the end of the device: sgdisk -e moves it there');
    }
  }
  const footerOffset = deviceSize - FOOTER_BYTES;
  if (footerOffset >= byteLength && (await textAt(footerOffset)) === FOOTER_COOKIE) {
    notes.push(`the footer of an old VHD is left at its end, offset ${footerOffset}: read the device with --from raw`);
  }
  return notes;
}
