import type { Disk } from '../disk/disk.ts';
import type { Examination } from '../disk/recognise.ts';
import { VhdError } from '../errors.ts';
import type { Finding } from '../format/rules.ts';
import { finding } from '../format/rules.ts';
import type { VhdType } from '../format/spec.ts';
import { formatUuid } from '../format/uuid.ts';
import { type ChainStart, type ResolvedLink, tryParents } from '../open-chain.ts';
import type { ParentOptions } from '../open-parent-options.ts';

/** One image of a chain. */
export interface ChainLink {
  /** Path of its file. */
  readonly path: string;
  /** What it is; null if that cannot be told. */
  readonly type: VhdType | 'raw' | null;
  /** Its identifier, the 16 bytes in file order; null for a raw disk. */
  readonly uuid: string | null;
  /** Its virtual size in bytes. */
  readonly virtualSize: number | null;
  /** Bytes of its file. */
  readonly fileSize: number;
}

/** Why a chain could not be opened. */
export interface ChainProblem {
  /** Code of the error that opening it gives, of the format or of the system. */
  readonly code: string;
  /** One sentence. */
  readonly message: string;
  /** What to do about it; null if nothing special. */
  readonly remedy: string | null;
}

/** A chain for a report. */
export interface ChainFacts {
  /** The images that were found, child first. */
  readonly chain: readonly ChainLink[];
  /** What stopped it; null if everything was found and opened. */
  readonly chainProblem: ChainProblem | null;
}

/** A chain, and the parents to read through. */
export interface LookedUpChain extends ChainFacts {
  /** The parent: of an incomplete chain one that rejects every call with what is wrong. */
  readonly parent: Disk;
  /** What is odd about the chain, what stopped it included. */
  readonly findings: readonly Finding[];
}

/** Looks up the chain of a differencing image. Locks nothing, and rejects only if the image itself cannot be read. */
export async function lookUpChain(start: ChainStart, options: ParentOptions): Promise<LookedUpChain> {
  const { links, parents, error = noParents() } = await tryParents(start, { ...options, lock: false });
  const chain = links.map(linkFacts);
  if (parents !== undefined) return { chain, chainProblem: null, parent: parents.parent, findings: parents.findings };
  const chainProblem = problemOf(error);
  const message = `the chain of parents cannot be opened: ${chainProblem.message}`;
  const findings = [...links.flatMap((link) => link.findings), finding('parent.unavailable', { message })];
  return { chain, chainProblem, parent: absentParent(start.examination, error), findings };
}

function noParents(): Error {
  return new Error('a differencing image has a parent, or there is an error that says why not');
}

function linkFacts({ path, isRaw, examination }: ResolvedLink): ChainLink {
  const { type, virtualSize, footer, fileSize } = examination;
  if (isRaw) return { path, type: 'raw', uuid: null, virtualSize: fileSize, fileSize };
  const uuid = footer === undefined ? null : formatUuid(footer.uniqueId);
  return { path, type: type ?? null, uuid, virtualSize: virtualSize ?? null, fileSize };
}

const FORBIDDEN: readonly string[] = ['EACCES', 'EPERM'];
const MAY_NOT = 'ask for the permission to read it, or run as somebody who has it';

function problemOf(error: Error): ChainProblem {
  if (!('code' in error)) throw error;
  if (!(error instanceof VhdError)) {
    const code = String(error.code);
    return { code, message: error.message, remedy: FORBIDDEN.includes(code) ? MAY_NOT : null };
  }
  const { code, message, remedy = null, storage } = error;
  return { code, message: storage === undefined ? message : `${storage}: ${message}`, remedy };
}

/** What stands for a parent that is not there: the image itself can be looked at, and nothing is read in its place. */
function absentParent({ virtualSize = 0 }: Examination, error: Error): Disk {
  const reject = (): Promise<never> => Promise.reject(error);
  return {
    ...{ size: virtualSize, readOnly: true, read: reject, write: reject, discard: reject },
    extents: () => ({ [Symbol.asyncIterator]: () => ({ next: reject }) }),
    flush: () => Promise.resolve(),
    close: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
