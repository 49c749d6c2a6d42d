import { readAdjacent, readEach, type Storage, writeAdjacent, writeEach } from './storage.ts';

/** A storage lent to something that closes what it is given, such as a disk: `close` leaves it open. */
export function borrowed(storage: Storage): Storage {
  return {
    name: storage.name,
    capabilities: storage.capabilities,
    size: () => storage.size(),
    read: (target, position) => storage.read(target, position),
    readv: (targets, position) => readAdjacent(storage, targets, position),
    findData: async (position, length) => {
      return storage.findData === undefined ? { start: position, length } : storage.findData(position, length);
    },
    cloneTo: async (target) => (await storage.cloneTo?.(target)) === true,
    write: (source, position) => storage.write(source, position),
    writev: (sources, position) => writeAdjacent(storage, sources, position),
    readEach: (reads) => readEach(storage, reads),
    writeEach: (writes) => writeEach(storage, writes),
    truncate: (byteLength) => storage.truncate(byteLength),
    flush: () => storage.flush(),
    discard: (position, length) => storage.discard(position, length),
    close: () => Promise.resolve(),
  };
}
