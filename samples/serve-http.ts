/**
 * Serves a disk, raw or VHD, as the download of a dynamic VHD: made on the way, without a file in between, and with its
 * exact Content-Length, so that the receiver can tell a download that broke off.
 *
 *   npx tsx samples/serve-http.ts disk.raw 8080
 *   curl -O http://localhost:8080/disk.vhd
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { argv, exit } from 'node:process';
import { pipeline } from 'node:stream/promises';
import { encodeVhd, openDisk } from 'vhdkit';

const [path, port = '8080'] = argv.slice(2);
if (path === undefined || !/^\d{1,5}$/.test(port)) {
  console.error('usage: npx tsx samples/serve-http.ts IMAGE [PORT]');
  exit(2);
}

const { disk } = await openDisk(path);
// Given here, so that every request gets the same bytes; without, each image has an identifier and a time of its own.
const identity = { uuid: randomUUID(), timestamp: new Date() };

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { Allow: 'GET, HEAD' }).end();
    return;
  }
  const { byteLength, stream } = await encodeVhd(disk, { type: 'dynamic', ...identity });
  response.writeHead(200, { 'Content-Type': 'application/x-vhd', 'Content-Length': byteLength });
  if (request.method === 'HEAD') response.end();
  else await pipeline(stream, response);
}

const server = createServer((request, response) => {
  serve(request, response).catch((error: unknown) => {
    console.error(`${request.method ?? ''} ${request.url ?? ''}:`, error);
    // Too late for another status once the body has begun: then the connection breaks off, and the length tells.
    if (response.headersSent) response.destroy();
    else response.writeHead(500).end();
  });
});
server.listen(Number(port), 'localhost', () => {
  console.log(`serving ${path} on http://localhost:${(server.address() as AddressInfo).port}/`);
});
