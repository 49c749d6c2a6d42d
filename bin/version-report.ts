import * as process from 'node:process';
import { nativeSupport } from '../src/storage/native.ts';
import { jsonText, keyValueTable, type Row } from './report.ts';
import type { Session } from './session.ts';
import { version } from './version.ts';

/** Prints the version, what it runs on, and which of the help that depends on the machine is there. */
export async function printVersionReport(session: Session): Promise<void> {
  const native = await nativeSupport();
  const { features } = native;
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
