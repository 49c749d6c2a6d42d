import { checkRange } from '../../src/errors.ts';
import { closedError, readOnlyError, type Storage, truncatedError } from '../../src/storage/storage.ts';

/** A storage as a caller would write one: an object literal over an array, without any of the optional methods. */
export function plainStorage(content: Uint8Array, writable: boolean): Storage {
  let bytes = Uint8Array.from(content);
  let isClosed = false;
  const pending = new Set<Promise<void>>();
  const check = (changes: boolean): void => {
    if (isClosed) throw closedError('plain');
    if (changes && !writable) throw readOnlyError('plain');
  };
  const resize = (byteLength: number): void => {
    const next = new Uint8Array(byteLength);
    next.set(bytes.subarray(0, byteLength));
    bytes = next;
  };
  const later = async (call: () => void): Promise<void> => {
    const done = new Promise<void>((resolve) => setImmediate(resolve)).then(call);
    pending.add(done);
    await done.finally(() => pending.delete(done));
  };
  return {
    name: 'plain',
    capabilities: { writable, discard: 'zeroes', durableFlush: false, preferredIoSize: 4096 },
    size: async () => {
      check(false);
      return bytes.length;
    },
    read: async (target, position) => {
      check(false);
      checkRange('read', position, target.length, Number.MAX_SAFE_INTEGER);
      const found = bytes.length - position;
      if (found < target.length) throw truncatedError('plain', position, target.length, found);
      await later(() => target.set(bytes.subarray(position, position + target.length)));
    },
    write: async (source, position) => {
      check(true);
      await later(() => {
        if (position + source.length > bytes.length) resize(position + source.length);
        bytes.set(source, position);
      });
    },
    truncate: async (byteLength) => {
      check(true);
      await later(() => resize(byteLength));
    },
    flush: async () => check(false),
    discard: async (position, length) => {
      check(true);
      checkRange('discard', position, length, bytes.length);
      await later(() => bytes.fill(0, position, position + length));
    },
    close: async () => {
      isClosed = true;
      await Promise.allSettled(pending);
    },
  };
}
