import { extname } from 'node:path';
import { type Geometry, geometryByteLength } from '../src/format/geometry.ts';
import type { TargetType } from '../src/ops/convert-options.ts';
import { UsageError } from './errors.ts';
import { quoted } from './shell-words.ts';

const TYPE_OF_NAME: Readonly<Record<string, TargetType>> = {
  '.vhd': 'dynamic',
  '.avhd': 'dynamic',
  '.vpc': 'dynamic',
  '.raw': 'raw',
  '.img': 'raw',
  '.dd': 'raw',
  '.bin': 'raw',
};

/** Formats of other programs, by the name qemu-img has for them. */
const FOREIGN: Readonly<Record<string, string>> = {
  '.vhdx': 'vhdx',
  '.avhdx': 'vhdx',
  '.qcow2': 'qcow2',
  '.qcow': 'qcow',
  '.vmdk': 'vmdk',
  '.vdi': 'vdi',
};

const COMPRESSORS: Readonly<Record<string, string>> = {
  '.gz': 'gzip',
  '.zst': 'zstd',
  '.xz': 'xz',
  '.bz2': 'bzip2',
  '.lz4': 'lz4',
};

const ARCHIVES: readonly string[] = ['.zip', '.7z', '.rar', '.tar', '.tgz'];

/**
 * What the target is to be, by its name.
 * @throws UsageError with the way round for formats that are not written, and `--to` for names that say nothing
 */
export function targetTypeOf(source: string, target: string): TargetType {
  const extension = extname(target).toLowerCase();
  const type = typeOfName(target);
  if (type !== undefined) return type;
  const format = FOREIGN[extension];
  if (format !== undefined) {
    const way = wayToFormat(source, target, format);
    throw new UsageError(`it is named ${extension}, and vhd writes raw, fixed and dynamic images only`, way, target);
  }
  const compressor = COMPRESSORS[extension];
  if (compressor !== undefined) {
    const inner = TYPE_OF_NAME[extname(target.slice(0, -extension.length)).toLowerCase()] ?? 'dynamic';
    const way = `vhd convert ${quoted(source)} - --to ${inner} | ${compressor} > ${quoted(target)}`;
    throw new UsageError(`it is named ${extension}, and vhd does not compress`, way, target);
  }
  if (ARCHIVES.includes(extension)) {
    throw new UsageError(
      `it is named ${extension}, and vhd writes no archives`,
      'write disk.vhd, then pack that',
      target,
    );
  }
  const why =
    target === '-' ? 'standard output has no name that says what to write' : 'its name does not say what to write';
  throw new UsageError(why, 'say --to raw, --to fixed or --to dynamic', target === '-' ? undefined : target);
}

/** What a name says that an image is to be; undefined if it says nothing. */
export function typeOfName(name: string): TargetType | undefined {
  return name === '-' ? undefined : TYPE_OF_NAME[extname(name).toLowerCase()];
}

/** How an image becomes one of a format that is not written here. */
export function wayToFormat(source: string, target: string, format: string): string {
  const isRaw = typeOfName(source) === 'raw';
  const first = isRaw ? '' : `vhd convert ${quoted(source)} disk.raw && `;
  return `${first}qemu-img convert -f raw -O ${format} ${isRaw ? quoted(source) : 'disk.raw'} ${quoted(target)}`;
}

/** What to say about a target whose name and type, given by `--to`, will mislead somebody. */
export function nameWarnings(target: string, type: TargetType): string[] {
  const extension = extname(target).toLowerCase();
  const byName = TYPE_OF_NAME[extension];
  const isForeign = extension in FOREIGN || extension in COMPRESSORS || ARCHIVES.includes(extension);
  const isOtherKind = byName !== undefined && (byName === 'raw') !== (type === 'raw');
  if (target === '-' || (!isForeign && !isOtherKind)) return [];
  return [`${target}: it is named ${extension}, but it is a ${type === 'raw' ? 'raw image' : `${type} VHD`}`];
}

/**
 * Refuses a name for what is to be a VHD that says otherwise: it would be held against it by every verb that opens it.
 * @param verb the one that makes it
 * @param way what to do instead
 * @throws UsageError
 */
export function checkVhdName(target: string, verb: string, way = 'name it .vhd'): void {
  checkNamed(target);
  const extension = extname(target).toLowerCase();
  if (extension !== '.iso' && nameWarnings(target, 'dynamic').length === 0) return;
  throw new UsageError(`it is named ${extension}, and ${verb} makes VHDs`, way, target);
}

/**
 * Refuses an empty name, as of a variable of the shell that is not set.
 * @throws UsageError
 */
export function checkNamed(target: string): void {
  if (target === '') throw new UsageError('the new image has no name: expected one, found nothing', 'name it .vhd');
}

/** What to say about a geometry that reaches past the end of the disk. */
export function geometryWarnings(geometry: Geometry | undefined, size: number, path: string): string[] {
  if (geometry === undefined || geometryByteLength(geometry) <= size) return [];
  const told = `${geometryByteLength(geometry)} bytes, more than the ${size} of the disk`;
  return [`${path}: the geometry gives ${told}: programs that go by it will read past the end`];
}

/** What to say about a child whose parent is neither in its directory nor below it, but in `parentDir`. */
export function parentWarnings(child: string, parentDir: string | undefined): string[] {
  if (parentDir === undefined) return [];
  return [
    `${child}: its parent is in another directory: to open it, vhd wants to be told --parent-dir ${quoted(parentDir)}`,
  ];
}
