// Fails with a list of what the package exports without a doc comment: names, and public members of
// exported interfaces, classes and object types.
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root: string = fileURLToPath(new URL('..', import.meta.url));
const entries: readonly string[] = ['src/index.ts', 'src/core.ts', 'src/format.ts'];

type Member = ts.ClassElement | ts.TypeElement;

/** Everything exported by the entry files that lacks a doc comment, as `file:line name`. */
export function findUndocumented(entryFiles: readonly string[]): string[] {
  const program = loadProgram(entryFiles);
  const checker = program.getTypeChecker();
  const missing = new Set<string>();
  for (const entry of entryFiles) {
    const source = program.getSourceFile(entry);
    const module = source === undefined ? undefined : checker.getSymbolAtLocation(source);
    if (module === undefined) {
      missing.add(`${relative(root, entry)} is missing or exports nothing`);
      continue;
    }
    for (const exported of checker.getExportsOfModule(module)) {
      for (const line of undocumentedIn(checker, resolveAlias(checker, exported))) missing.add(line);
    }
  }
  return [...missing].sort();
}

function resolveAlias(checker: ts.TypeChecker, symbol: ts.Symbol): ts.Symbol {
  return (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol);
}

function* undocumentedIn(checker: ts.TypeChecker, symbol: ts.Symbol): Generator<string> {
  const declarations = symbol.declarations ?? [];
  const first = declarations[0];
  if (first === undefined) return;
  if (!hasText(checker, symbol)) yield describe(first, symbol.name);
  for (const declaration of declarations) {
    for (const member of membersOf(declaration)) {
      const memberSymbol = member.name === undefined ? undefined : checker.getSymbolAtLocation(member.name);
      if (memberSymbol === undefined || hasText(checker, memberSymbol)) continue;
      yield describe(member, `${symbol.name}.${memberSymbol.name}`);
    }
  }
}

function hasText(checker: ts.TypeChecker, symbol: ts.Symbol): boolean {
  return ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim() !== '';
}

/** Public members of an interface, class or object type, and of object types nested in it. */
function* membersOf(declaration: ts.Node): Generator<Member> {
  if (ts.isClassDeclaration(declaration) || ts.isInterfaceDeclaration(declaration)) {
    for (const member of declaration.members) if (isPublicNamed(member)) yield* withNested(member);
  } else if (ts.isTypeAliasDeclaration(declaration)) {
    yield* objectTypesIn(declaration.type);
  }
}

function* withNested(member: Member): Generator<Member> {
  yield member;
  const isProperty = ts.isPropertySignature(member) || ts.isPropertyDeclaration(member);
  if (isProperty && member.type !== undefined) yield* objectTypesIn(member.type);
}

function* objectTypesIn(type: ts.Node): Generator<Member> {
  if (ts.isFunctionTypeNode(type)) return;
  if (ts.isTypeLiteralNode(type)) {
    for (const member of type.members) if (isPublicNamed(member)) yield* withNested(member);
    return;
  }
  const children: ts.Node[] = [];
  ts.forEachChild(type, (child) => void children.push(child));
  for (const child of children) yield* objectTypesIn(child);
}

function isPublicNamed(member: Member): boolean {
  if (ts.isConstructorDeclaration(member) || member.name === undefined) return false;
  // Symbol-named members (Symbol.asyncDispose) carry the meaning the language gives them.
  if (ts.isPrivateIdentifier(member.name) || ts.isComputedPropertyName(member.name)) return false;
  // An override means what its base says.
  const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected | ts.ModifierFlags.Override;
  return (ts.getCombinedModifierFlags(member) & hidden) === 0;
}

function describe(node: ts.Node, name: string): string {
  const source = node.getSourceFile();
  const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
  return `${relative(root, source.fileName)}:${line + 1} ${name}`;
}

function loadProgram(files: readonly string[]): ts.Program {
  const configPath = `${root}tsconfig.json`;
  const { config } = ts.readConfigFile(configPath, (path) => ts.sys.readFile(path)) as { config: unknown };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  return ts.createProgram(files, options);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const undocumented = findUndocumented(entries.map((entry) => root + entry));
  if (undocumented.length > 0) {
    console.error(`${undocumented.length} exports or members without a doc comment:\n  ${undocumented.join('\n  ')}`);
    process.exitCode = 1;
  }
}
