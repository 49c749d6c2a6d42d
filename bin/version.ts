import { readFileSync } from 'node:fs';

/** Put in by the build; absent where the sources run as they are. */
declare const __VHDKIT_VERSION__: string | undefined;

/** The version of the package. */
export function version(): string {
  return typeof __VHDKIT_VERSION__ === 'string' ? __VHDKIT_VERSION__ : versionOfSources();
}

function versionOfSources(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
