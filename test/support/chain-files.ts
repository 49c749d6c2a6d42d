// Chains of small images in files, laid out in any way.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { encodeLocatorName } from '../../src/format/parent-reference.ts';
import { buildImage, type ImageShape } from './build-image.ts';

/** Bytes of the disks. */
export const CHAIN_DISK_BYTES = 64 * 1024;
/** Bytes of their blocks: four of them. */
export const CHAIN_BLOCK_BYTES = 16 * 1024;
/** Time stamp of the footers. */
const TIMESTAMP = 700_000_000;

/** An image of a chain. */
export interface ChainFile {
  /** What all bytes of its identifier are. */
  readonly id: number;
  /** The block that it holds, full of `id`. Default: none. */
  readonly block?: number;
  /** Virtual size. Default: {@link CHAIN_DISK_BYTES}. */
  readonly size?: number;
  /** What it says of its parent; without, it has none. */
  readonly parent?: {
    readonly id: number;
    /** Locators, such as `['W2ru', '.\\parent.vhd']`. */
    readonly locators?: readonly (readonly [platformCode: string, name: string])[] | undefined;
    readonly name?: string;
    readonly timestamp?: number;
  };
  readonly shape?: Partial<ImageShape>;
}

/** The identifier of an image. */
export function chainUuid(id: number): Uint8Array {
  return new Uint8Array(16).fill(id);
}

/** Writes an image, and makes its directory; returns its path. */
export function writeChainFile(path: string, { id, block, size = CHAIN_DISK_BYTES, parent, shape }: ChainFile): string {
  const locators = (parent?.locators ?? []).map(([platformCode, name]) => {
    const isKnown = ['W2ru', 'W2ku'].includes(platformCode) || (platformCode === 'MacX' && !name.startsWith('file:'));
    return { platformCode, bytes: isKnown ? encodeLocatorName(platformCode, name) : Buffer.from(name, 'latin1') };
  });
  const { name, timestamp = TIMESTAMP } = parent ?? {};
  const image = buildImage({
    size,
    blockSize: CHAIN_BLOCK_BYTES,
    blocks: block === undefined ? [] : [{ index: block, data: id }],
    ...shape,
    footer: { uniqueId: chainUuid(id), timestamp: TIMESTAMP, ...shape?.footer },
    ...(parent === undefined
      ? {}
      : { parent: { uniqueId: chainUuid(parent.id), timestamp, locators, ...(name === undefined ? {} : { name }) } }),
  });
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, image);
  return path;
}
