/**
 * A storage of one's own: a VHD on a web server, of which only the parts that are needed are fetched. A storage is any
 * object with the methods below; this one is for reading.
 *
 *   npx tsx samples/http-storage.ts https://example.org/disk.vhd
 */
import { argv, exit } from 'node:process';
import { openVhd, type Storage } from 'vhdkit';

const [url] = argv.slice(2);
if (url === undefined) {
  console.error('usage: npx tsx samples/http-storage.ts URL');
  exit(2);
}
const fetched = { requests: 0, bytes: 0 };

async function request(method: string, address: string, fields: object, status: number): Promise<Response> {
  fetched.requests++;
  const response = await fetch(address, { method, headers: { 'Accept-Encoding': 'identity', ...fields } });
  if (response.status === status) return response;
  throw new Error(`${method} ${address}: expected status ${status}, found ${response.status}`);
}

async function httpStorage(address: string): Promise<Storage> {
  const { headers } = await request('HEAD', address, {}, 200);
  const byteLength = Number(headers.get('Content-Length') ?? Number.NaN);
  // With its tag a file that is replaced meanwhile is refused (412), instead of two versions being mixed.
  const tag = headers.get('ETag') ?? 'W/';
  const condition = tag.startsWith('W/') ? {} : { 'If-Match': tag };
  const refuse = async (): Promise<never> => Promise.reject(new Error('this storage is for reading'));
  return {
    name: address,
    capabilities: { writable: false, discard: 'ignored', durableFlush: false, preferredIoSize: 1024 * 1024 },
    size: async () => byteLength,
    async read(target, position) {
      if (target.length === 0) return;
      const range = `bytes=${position}-${position + target.length - 1}`;
      const response = await request('GET', address, { Range: range, ...condition }, 206);
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (bytes.length !== target.length) throw new Error(`${address}: ${range} gave ${bytes.length} bytes`);
      target.set(bytes);
      fetched.bytes += bytes.length;
    },
    write: refuse,
    truncate: refuse,
    discard: refuse,
    flush: async () => undefined,
    close: async () => undefined,
  };
}

await using disk = await openVhd(await httpStorage(url));
const boot = Buffer.from(await disk.readBytes(0, 512));
console.log(`${url}: a ${disk.type} disk of ${disk.size} bytes in a file of ${disk.fileSize}`);
console.log(`  its first sector ends with ${boot.toString('hex', 510)}`);
console.log(`  fetched ${fetched.bytes} bytes in ${fetched.requests} requests`);
