import { readFileSync } from 'node:fs';

/** Put in by the build; absent where the sources run as they are. */
declare const __VHDKIT_VERSION__: string | undefined;

/** The version of the package. */
export function version(): string {
  return typeof __VHDKIT_VERSION__ === 'string' ? __VHDKIT_VERSION__ : versionOfSources();
}

/** True if the arguments ask for more than the version: what it runs on, and with. */
export function asksForVersionReport(argv: readonly string[]): boolean {
  const asked = argv.filter((word) => word === '--version' || word === '-V').length;
  const more = argv.filter((word) => word === '--verbose' || word === '--json').length;
  return asked > 0 && more > 0 && asked + more === argv.length;
}

function versionOfSources(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
