import { basename } from 'node:path';
import { quote } from '../format/bytes.ts';
import { type Manifest, type ManifestSource, manifestError, readEachManifest } from './manifest.ts';

/**
 * The manifest that is about an image: the only one there is; of several the one with its path, or else its name.
 * @throws VhdError `ERR_VHD_MANIFEST` if there is none, or more than one
 */
export function manifestFor(manifests: readonly Manifest[], image: string, name = 'the manifest'): Manifest {
  const choice = new ManifestChoice(image);
  for (const manifest of manifests) choice.add(manifest);
  return choice.chosen(name);
}

/**
 * Reads the manifests in a file as `readManifests` does, all of them checked, and chooses as {@link manifestFor}. Holds those
 * alone that may be the one, three at most, with 36 bytes for each block.
 * @param source the bytes of the file
 * @param image path of the image
 * @param name what to call the file in errors
 * @throws VhdError as `readManifests` and {@link manifestFor}; what the source throws
 */
export async function readManifestFor(source: ManifestSource, image: string, name = 'the manifest'): Promise<Manifest> {
  const choice = new ManifestChoice(image);
  await readEachManifest(source, name, (manifest) => choice.add(manifest));
  return choice.chosen(name);
}

/** One of many manifests, unless there is another that may be meant as well. */
class Candidate {
  /** How many were added. */
  count = 0;
  /** The one; undefined if there is none, or more than one. */
  only: Manifest | undefined;

  add(manifest: Manifest): void {
    this.count++;
    this.only = this.count === 1 ? manifest : undefined;
  }
}

/** Chooses the manifest for an image out of many, which are not held. */
class ManifestChoice {
  readonly #image: string;
  readonly #any = new Candidate();
  readonly #withPath = new Candidate();
  readonly #withName = new Candidate();

  constructor(image: string) {
    this.#image = image;
  }

  add(manifest: Manifest): void {
    const { path } = manifest;
    this.#any.add(manifest);
    if (path === this.#image) this.#withPath.add(manifest);
    if (path !== null && basename(path) === basename(this.#image)) this.#withName.add(manifest);
  }

  chosen(name: string): Manifest {
    const found = this.#any.only ?? this.#withPath.only ?? this.#withName.only;
    if (found !== undefined) return found;
    const count = this.#withName.count;
    throw manifestError(name, `one entry for ${quote(basename(this.#image))}`, `${count} among ${this.#any.count}`);
  }
}
