import { basename } from 'node:path';
import { VhdError } from '../errors.ts';
import { quote } from '../format/bytes.ts';
import { hasBlocks, type Manifest, type ManifestSource, readEachManifest } from './manifest.ts';

/**
 * The manifest that is about an image: the only one there is; of several the one with its path, or else its name. Those that
 * say the same count as one.
 * @throws VhdError `ERR_VHD_MANIFEST` if there is none, or several that differ
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

/** What several manifests are together: the first of them, as long as the others say the same. */
class Candidate {
  readonly #isSame: (a: Manifest, b: Manifest) => boolean;
  count = 0;
  /** The one; undefined if there is none, or another that says something else. */
  only: Manifest | undefined;

  constructor(isSame: (a: Manifest, b: Manifest) => boolean) {
    this.#isSame = isSame;
  }

  add(manifest: Manifest): void {
    if (this.count++ === 0) this.only = manifest;
    else if (this.only !== undefined && !this.#isSame(this.only, manifest)) this.only = undefined;
  }
}

/** So many entries of a manifest are named. */
const MAX_NAMED = 3;

/** Some names of entries. */
class NamedEntries {
  readonly #names: string[] = [];
  #count = 0;

  add(path: string | null): void {
    this.#count++;
    if (this.#names.length < MAX_NAMED) this.#names.push(path === null ? 'one without a name' : told(path));
  }

  text(): string {
    const others = this.#count - this.#names.length;
    return `${this.#names.join(', ')}${others === 0 ? '' : ` and ${others} more`}`;
  }
}

/** Chooses the manifest for an image out of many, which are not held. */
class ManifestChoice {
  readonly #image: string;
  readonly #any = new Candidate((a, b) => a.path === b.path && saysTheSame(a, b));
  readonly #withPath = new Candidate(saysTheSame);
  readonly #withName = new Candidate(saysTheSame);
  readonly #entries = new NamedEntries();
  readonly #alike = new NamedEntries();

  constructor(image: string) {
    this.#image = image;
  }

  add(manifest: Manifest): void {
    const { path } = manifest;
    this.#any.add(manifest);
    this.#entries.add(path);
    if (path === this.#image) this.#withPath.add(manifest);
    if (path === null || basename(path) !== basename(this.#image)) return;
    this.#withName.add(manifest);
    this.#alike.add(path);
  }

  chosen(name: string): Manifest {
    const found = this.#any.only ?? this.#withPath.only ?? this.#withName.only;
    if (found !== undefined) return found;
    throw this.#withName.count === 0 ? this.#missingError(name) : this.#severalError(name);
  }

  #missingError(storage: string): VhdError {
    const expected = `an entry for ${told(basename(this.#image))}`;
    const found = this.#any.count === 0 ? 'none' : this.#entries.text();
    return new VhdError('ERR_VHD_MANIFEST', `a manifest of other images: expected ${expected}, found ${found}`, {
      ...{ storage, expected, found },
      remedy: 'vhd hash IMAGE -o FILE makes one; an entry that is alone in its file is for an image of any name',
    });
  }

  #severalError(storage: string): VhdError {
    const expected = `one entry for ${told(basename(this.#image))}`;
    const found = `several that differ, or are of two forms: ${this.#alike.text()}`;
    return new VhdError('ERR_VHD_MANIFEST', `no telling which entry is meant: expected ${expected}, found ${found}`, {
      ...{ storage, expected, found },
      remedy: 'name the image by the path that its entry has, or put that entry into a file alone',
    });
  }
}

/** True if a disk that is as one of them says is as the other says. */
function saysTheSame(a: Manifest, b: Manifest): boolean {
  if (hasBlocks(a)) return hasBlocks(b) && a.root === b.root;
  return !hasBlocks(b) && a.sha256 === b.sha256;
}

/** The end of a long path tells more than its start. */
function told(path: string): string {
  return quote(path.length <= 80 ? path : `…${path.slice(-79)}`);
}
