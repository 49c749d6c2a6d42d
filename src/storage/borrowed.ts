import type { Storage } from './storage.ts';

/** A storage lent to something that closes what it is given, such as a disk: `close` leaves it open. */
export function borrowed(storage: Storage): Storage {
  const { readv, writev, findData, cloneTo } = storage;
  return {
    name: storage.name,
    capabilities: storage.capabilities,
    size: () => storage.size(),
    read: (target, position) => storage.read(target, position),
    ...(readv === undefined ? {} : { readv: readv.bind(storage) }),
    write: (source, position) => storage.write(source, position),
    ...(writev === undefined ? {} : { writev: writev.bind(storage) }),
    ...(findData === undefined ? {} : { findData: findData.bind(storage) }),
    ...(cloneTo === undefined ? {} : { cloneTo: cloneTo.bind(storage) }),
    truncate: (byteLength) => storage.truncate(byteLength),
    flush: () => storage.flush(),
    discard: (position, length) => storage.discard(position, length),
    close: () => Promise.resolve(),
  };
}
