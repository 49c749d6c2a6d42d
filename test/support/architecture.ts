// The house rules of src/, bin/ and samples/, as pure functions over the text of its files.
import { posix } from 'node:path';
import ts from 'typescript';

/** One source file: its path from the top of the repository, with forward slashes, and its text. */
export interface SourceText {
  readonly path: string;
  readonly text: string;
}

/** Rooms that do not know each other stand in one row; a row may import the rows above it, and each room itself. */
const ROWS: readonly (readonly Room[])[] = [
  [{ name: 'errors', files: /^src\/errors\.ts$/ }],
  [
    { name: 'format', files: /^src\/format\// },
    { name: 'storage', files: /^src\/storage\// },
  ],
  [{ name: 'disk', files: /^src\/disk\// }],
  [
    { name: 'stream', files: /^src\/stream\// },
    { name: 'inspect', files: /^src\/inspect\// },
  ],
  [{ name: 'open', files: /^src\/open(-[^/]*)?\.ts$/ }],
  [{ name: 'ops', files: /^src\/ops\// }],
  [{ name: 'entry', files: /^src\/(index|core|format)\.ts$/ }],
  [
    { name: 'bin', files: /^bin\// },
    { name: 'samples', files: /^samples\// },
  ],
];

const MAY_USE_NODE =
  /^(src\/storage\/(file|file-[^/]*|native[^/]*)\.ts|src\/stream\/.*|src\/open(-[^/]*)?\.ts|src\/ops\/.*|bin\/.*|samples\/.*)$/;
const MAY_RE_EXPORT = /^src\/(index|core|format)\.ts$/;
const HAS_NO_BUFFER = /^src\/(errors\.ts|core\.ts|format\.ts|(format|disk|inspect)\/.*|storage\/(?!file|native).*)$/;
const OWN_NAME: Readonly<Record<string, string>> = {
  vhdkit: 'src/index.ts',
  'vhdkit/core': 'src/core.ts',
  'vhdkit/format': 'src/format.ts',
};
const MAX_LINES = 400;
const MAX_MEDIAN_LINES = 160;

interface Room {
  readonly name: string;
  readonly files: RegExp;
}

/** Imports that point up, sideways, or at something the importing room may not use. */
export function layerViolations(files: readonly SourceText[]): string[] {
  const paths = new Set(files.map((file) => file.path));
  return files.flatMap((file) => {
    const row = rowOf(file.path);
    if (row === undefined) return [`${file.path} is in no room of the house`];
    return importsOf(file).flatMap((specifier) => importViolation(file.path, specifier, paths) ?? []);
  });
}

/** What is reachable from `entry` and imports `node:*`, with the way there. */
export function nodeReachableFrom(entry: string, files: readonly SourceText[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const found: string[] = [];
  const seen = new Set<string>();
  const visit = (path: string, way: readonly string[]): void => {
    const file = byPath.get(path);
    if (file === undefined || seen.has(path)) return;
    seen.add(path);
    for (const specifier of importsOf(file)) {
      if (specifier.startsWith('node:')) found.push(`${[...way, path].join(' -> ')} -> ${specifier}`);
      const target = targetOf(path, specifier);
      if (target !== undefined) visit(target, [...way, path]);
    }
  };
  visit(entry, []);
  return found;
}

/** Default exports, `export *`, barrels besides the entry files, `index` and `utils` files. */
export function exportViolations(files: readonly SourceText[]): string[] {
  return files.flatMap((file) => {
    const name = posix.basename(file.path, '.ts');
    const found = [];
    if (/^(utils?|helpers?|misc|common)$/i.test(name)) found.push(`${file.path}: a name that says nothing`);
    if (name === 'index' && file.path !== 'src/index.ts') found.push(`${file.path}: src/index.ts is the only index`);
    for (const statement of parse(file).statements) {
      if (isDefaultExport(statement)) found.push(`${file.path}: default export`);
      if (!ts.isExportDeclaration(statement) || statement.moduleSpecifier === undefined) continue;
      if (statement.exportClause === undefined || ts.isNamespaceExport(statement.exportClause)) {
        found.push(`${file.path}: export * instead of names`);
      } else if (!MAY_RE_EXPORT.test(file.path)) {
        found.push(`${file.path}: re-exports like a barrel`);
      }
    }
    return found;
  });
}

/** Files that are too long, and a median that is. */
export function lengthViolations(files: readonly SourceText[]): string[] {
  const lengths = files.map((file) => file.text.replace(/\n$/, '').split('\n').length).sort((a, b) => a - b);
  const found = files
    .filter((file) => file.text.replace(/\n$/, '').split('\n').length > MAX_LINES)
    .map((file) => `${file.path} has more than ${MAX_LINES} lines`);
  const median = lengths[lengths.length >> 1] ?? 0;
  if (median > MAX_MEDIAN_LINES) found.push(`the median file has ${median} lines, more than ${MAX_MEDIAN_LINES}`);
  return found;
}

/** `console` in src/, and globals of Node in what must run in a browser, unless the file asks `typeof Buffer` first. */
export function globalViolations(files: readonly SourceText[]): string[] {
  return files
    .filter((file) => file.path.startsWith('src/'))
    .flatMap((file) => {
      const used = globalsUsed(file);
      const found = used.has('console') ? [`${file.path} uses console`] : [];
      if (!HAS_NO_BUFFER.test(file.path)) return found;
      if (used.has('process')) found.push(`${file.path} uses process`);
      if (used.has('Buffer') && !file.text.includes('typeof Buffer')) found.push(`${file.path} uses Buffer unasked`);
      return found;
    });
}

function importViolation(path: string, specifier: string, paths: ReadonlySet<string>): string | undefined {
  if (specifier.startsWith('node:')) {
    return MAY_USE_NODE.test(path) ? undefined : `${path} must not import ${specifier}`;
  }
  const target = targetOf(path, specifier);
  if (target === undefined) {
    return specifier === 'commander' && !path.startsWith('bin/') ? `${path}: commander belongs to bin/` : undefined;
  }
  if (!paths.has(target)) return `${path} imports ${specifier}, which is no file (imports end in .ts)`;
  const [from, to] = [rowOf(path), rowOf(target)];
  if (from === undefined || to === undefined || roomOf(path) === roomOf(target)) return undefined;
  if (to < from) return undefined;
  return `${path} (${roomOf(path)}) must not import ${target} (${roomOf(target)})`;
}

function targetOf(path: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return posix.join(posix.dirname(path), specifier);
  return OWN_NAME[specifier];
}

function rowOf(path: string): number | undefined {
  const row = ROWS.findIndex((rooms) => rooms.some((room) => room.files.test(path)));
  return row < 0 ? undefined : row;
}

function roomOf(path: string): string | undefined {
  return ROWS.flat().find((room) => room.files.test(path))?.name;
}

const parsed = new WeakMap<SourceText, ts.SourceFile>();

function parse(file: SourceText): ts.SourceFile {
  const known = parsed.get(file) ?? ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true);
  parsed.set(file, known);
  return known;
}

function isDefaultExport(statement: ts.Statement): boolean {
  if (ts.isExportAssignment(statement)) return true;
  if (ts.isExportDeclaration(statement) && statement.exportClause !== undefined) {
    return ts.isNamedExports(statement.exportClause)
      ? statement.exportClause.elements.some((element) => element.name.text === 'default')
      : false;
  }
  return ts.canHaveModifiers(statement)
    ? (ts.getModifiers(statement) ?? []).some((modifier) => modifier.kind === ts.SyntaxKind.DefaultKeyword)
    : false;
}

/** Static, dynamic and type imports, and re-exports. */
function importsOf(file: SourceText): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier !== undefined) {
      found.push(textOf(node.moduleSpecifier));
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      found.push(textOf(node.arguments[0]));
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      found.push(textOf(node.argument.literal));
    }
    ts.forEachChild(node, visit);
  };
  visit(parse(file));
  return found;
}

function textOf(node: ts.Node | undefined): string {
  return node !== undefined && ts.isStringLiteralLike(node) ? node.text : './(computed)';
}

/** Names that look like free variables: identifiers that are no property, no declaration and no type. */
function globalsUsed(file: SourceText): Set<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node)) return;
    if (ts.isIdentifier(node) && !isPropertyName(node)) names.add(node.text);
    ts.forEachChild(node, visit);
  };
  visit(parse(file));
  return names;
}

function isPropertyName(node: ts.Identifier): boolean {
  const { parent } = node;
  return (
    (ts.isPropertyAccessExpression(parent) && parent.name === node) ||
    (ts.isPropertyAssignment(parent) && parent.name === node) ||
    ts.isClassElement(parent) ||
    ts.isTypeElement(parent)
  );
}
