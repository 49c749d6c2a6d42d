// Run as a thread: writes a batch to a file, tells whether the system took it, and ends.
import { open } from 'node:fs/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { loadNative } from '../../src/storage/native.ts';
import { pattern } from './bytes.ts';

const { files } = await loadNative();
const file = await open(workerData as string, 'w');
const writes = Array.from({ length: 32 }, (_, index) => ({ position: index * 1000, bytes: pattern(100, index) }));
const left = await files?.batches?.write(file.fd, writes);
await file.close();
parentPort?.postMessage(left?.length === 0);
