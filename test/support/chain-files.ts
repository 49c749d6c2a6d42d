// Chains of small images in files, laid out in any way.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect } from 'vitest';
import { encodeLocatorName } from '../../src/format/parent-reference.ts';
import { closeLinks, resolveChain } from '../../src/open-chain.ts';
import type { ChainOptions } from '../../src/open-parent-options.ts';
import { buildImage, type ImageShape } from './build-image.ts';
import { WorkFolder } from './streams-files.ts';

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

/** What a chain that cannot be opened is refused with. */
type ChainFailure = Error & { readonly code: string; readonly remedy?: string };

/** A folder for chains, an empty one for every test. */
export class ChainFolder {
  readonly #folder = new WorkFolder();
  #root = '';

  /** Begins with an empty folder. */
  readonly begin = (): void => {
    this.#root = this.#folder.fresh('chain');
    mkdirSync(this.#root);
  };

  /** The path of something in it. */
  readonly at = (name: string): string => join(this.#root, name);

  /** Writes an image. */
  readonly image = (name: string, file: ChainFile): string => writeChainFile(this.at(name), file);

  /** Writes image 1, which has no parent and the first block. */
  readonly base = (name: string): string => this.image(name, { id: 1, block: 0 });

  /** Writes image 2, with the second block, a child of image 1. */
  readonly child = (
    name: string,
    locators: NonNullable<ChainFile['parent']>['locators'],
    more: Partial<ChainFile> = {},
  ): string => this.image(name, { id: 2, block: 1, ...more, parent: { id: 1, locators, ...more.parent } });

  /** The paths of a chain, from the folder on. */
  readonly chainOf = async (path: string, options: ChainOptions = {}): Promise<string[]> => {
    const links = await resolveChain(path, options);
    await closeLinks(links);
    return links.map((link) => relative(this.#root, link.path));
  };

  /** Why a chain is refused; checks that nothing is open any more. */
  readonly failureOf = async (path: string, options: ChainOptions = {}): Promise<ChainFailure> => {
    const error: unknown = await resolveChain(path, options).then(
      async (links) => {
        await closeLinks(links);
        return new Error('it was found');
      },
      (reason: unknown) => reason,
    );
    expect(this.openPaths()).toEqual([]);
    return error as ChainFailure;
  };

  /** Paths in the folder that this process has open. */
  readonly openPaths = (): string[] => this.#folder.openPaths();
}
