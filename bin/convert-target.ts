import { extname } from 'node:path';
import type { TargetType } from '../src/ops/convert-options.ts';
import { refuseUntyped } from './device-target.ts';
import { UsageError } from './errors.ts';
import { targetTypeOf } from './target.ts';

/** What says what a conversion is to write. */
export interface Wanted {
  readonly source: string;
  readonly target: string;
  readonly to: TargetType | undefined;
  /** What it is to be a child of. */
  readonly parent: string | undefined;
  readonly azure: boolean;
  readonly inPlace: boolean;
  /** True if the target is a block device. */
  readonly isDevice: boolean;
}

/**
 * What the target is to be: as said, or as its name says.
 * @throws UsageError if nothing says it, or two things contradict each other
 */
export function convertTypeFor(wanted: Wanted): TargetType {
  const { source, target, to, isDevice } = wanted;
  if (wanted.parent !== undefined) return childType(wanted);
  if (to === undefined && isDevice) return refuseUntyped(target);
  if (wanted.azure) return azureType(wanted);
  if (wanted.inPlace) return inPlaceType(wanted);
  return to ?? targetTypeOf(source, target);
}

/** A child is a VHD, and a new file. */
function childType({ source, target, to, azure, inPlace }: Wanted): TargetType {
  const flag = azure ? '--azure' : inPlace ? '--in-place' : to === undefined ? undefined : `--to ${to}`;
  if (flag !== undefined) {
    throw new UsageError(`--parent makes a differencing image, and ${flag} another one`, 'leave one of them away');
  }
  const byName = extname(target) === '' ? 'dynamic' : targetTypeOf(source, target);
  if (byName === 'dynamic') return 'differencing';
  throw new UsageError(`its name says that it is a ${byName} image, and --parent makes a VHD`, 'name it .vhd', target);
}

/** A name that stands for a dynamic VHD elsewhere stands for the fixed one that Azure takes. */
function azureType({ source, target, to, inPlace }: Wanted): TargetType {
  const isUnnamed = target === '-' || inPlace;
  const type = to ?? (isUnnamed ? 'fixed' : targetTypeOf(source, target));
  if (type === 'fixed' || (to === undefined && type === 'dynamic')) return 'fixed';
  const remedy = 'name it .vhd, and leave --to away';
  throw new UsageError(`--azure: Azure takes fixed VHDs, and the target is ${type}`, remedy);
}

function inPlaceType({ source, target, to }: Wanted): TargetType {
  if (to === undefined && source === target) {
    throw new UsageError('--in-place: nothing says what the file is to become', 'say --to fixed or --to raw');
  }
  if (to === 'dynamic') throw new UsageError('--in-place: only raw and fixed change by their footer', 'leave it away');
  const type = to ?? targetTypeOf(source, target);
  return type === 'dynamic' ? 'fixed' : type;
}
