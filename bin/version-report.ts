import * as process from 'node:process';
import * as zlib from 'node:zlib';
import { nativeSupport } from '../src/storage/native.ts';
import { jsonText, keyValueTable, type Row } from './report.ts';
import type { Session } from './session.ts';
import { version } from './version.ts';

/** Something that is there or not, depending on the machine. */
interface Feature {
  readonly name: string;
  readonly isActive: boolean;
  readonly detail: string;
}

/** Prints the version, what it runs on, and which of the things that depend on the machine are there. */
export async function printVersionReport(session: Session): Promise<void> {
  const native = await nativeSupport();
  const features: readonly Feature[] = [...native.features, zstdFeature()];
  const { arch, platform } = process;
  const node = process.version;
  if (session.isJson) {
    const { helper, isActive, version: helperVersion, reason } = native;
    const report = {
      version: version(),
      node,
      platform,
      arch,
      native: { helper, isActive, version: helperVersion, reason },
      features,
    };
    return session.print(jsonText('version', report));
  }
  const rows: Row[] = [
    ['node', node],
    ['platform', `${platform} ${arch}`],
    ['native helper', native.isActive ? `${native.helper} ${native.version ?? ''}` : `off: ${native.reason ?? ''}`],
    ...features.map(({ name, isActive, detail }): Row => [name, `${isActive ? 'on' : 'off'}: ${detail}`]),
  ];
  await session.print(`vhd ${version()}\n${keyValueTable(rows)}`);
}

function zstdFeature(): Feature {
  const isActive = 'createZstdDecompress' in zlib;
  return { name: 'zstd', isActive, detail: isActive ? 'part of this Node' : 'this Node has none; 22.15 and later do' };
}
