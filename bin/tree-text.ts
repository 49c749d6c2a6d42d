import { escapeControls } from '../src/format/bytes.ts';
import { describeFinding } from '../src/format/rules.ts';
import type { TreeImage, TreeReport } from '../src/ops/tree.ts';
import { columnTable, paint } from './report.ts';
import { shellLine } from './shell-words.ts';
import { formatBytes } from './sizes.ts';

/** Links that are drawn below each other; what lies deeper is numbered. */
const MAX_DRAWN_DEPTH = 24;

/** The chains as a tree, a line an image, and under it what is wrong with it. */
export function treeText(report: TreeReport, coloured: boolean): string {
  const { images, missingParents, brokenImages, fileAllocatedBytes } = report;
  if (images.length === 0) return 'no images\n';
  const branches = branchesOf(images);
  const rows = images.map((image, index) => [
    `${branches[index] ?? ''}${escapeControls(image.path)}`,
    ...cellsOf(image),
  ]);
  const lines = columnTable(rows, 'llrrrl').split('\n');
  const told = images.flatMap((image, index) => [
    lines[index] ?? '',
    ...notesOn(image).map((note) => paint('yellow', `${notePrefix(images, index, branches)}! ${note}`, coloured)),
  ]);
  const count = `${images.length} ${images.length === 1 ? 'image' : 'images'}, ${formatBytes(fileAllocatedBytes)} on disk`;
  const missing =
    missingParents === 0 ? '' : `; ${missingParents} without ${missingParents === 1 ? 'its' : 'their'} parent`;
  const broken = brokenImages === 0 ? '' : `; ${brokenImages} broken`;
  return `${told.join('\n')}\n\n${count}${missing}${broken}\n`;
}

function cellsOf({ type, virtualSize, fileAllocatedBytes, fileSize, ownedShare, uuid }: TreeImage): string[] {
  if (type === null) return ['broken', '', formatBytes(fileAllocatedBytes ?? fileSize), '', ''];
  const share = ownedShare === null ? '' : `${Math.round(ownedShare * 1000) / 10} % owned`;
  return [
    type,
    formatBytes(virtualSize ?? 0),
    `${formatBytes(fileAllocatedBytes ?? fileSize)} on disk`,
    share,
    uuid ?? '',
  ];
}

/** The lines that lead from a parent to its children. */
function branchesOf(images: readonly TreeImage[]): string[] {
  const branches: string[] = [];
  // From the end: whether a line goes on is known only behind it.
  const isOpen: boolean[] = [];
  for (const { depth } of [...images].reverse()) {
    const drawn = Math.min(depth, MAX_DRAWN_DEPTH);
    let branch = depth > MAX_DRAWN_DEPTH ? `[${depth}] ` : '';
    for (let level = 1; level <= drawn; level++) {
      if (level < drawn) branch += isOpen[level] === true ? '│  ' : '   ';
      else branch += isOpen[level] === true ? '├─ ' : '└─ ';
    }
    isOpen.length = drawn + 1;
    isOpen[drawn] = true;
    branches.push(branch);
  }
  return branches.reverse();
}

function notePrefix(images: readonly TreeImage[], index: number, branches: readonly string[]): string {
  const own = (branches[index] ?? '').replace('├─', '│ ').replace('└─', '  ');
  const hasChild = (images[index + 1]?.depth ?? 0) > (images[index]?.depth ?? 0);
  return `${own}${hasChild ? '│' : ' '} `;
}

function notesOn(image: TreeImage): string[] {
  const { journal } = image;
  const begun = journal === null ? [] : [escapeControls(describeFinding(journal))];
  return [...begun, ...parentNotes(image)];
}

function parentNotes({
  path,
  problem,
  parentState,
  parentUuid,
  parentName,
  parentPath,
  parentCandidates,
}: TreeImage): string[] {
  if (problem !== null) return [escapeControls(problem)];
  const called = `${escapeControls(parentName ?? 'a parent without a name')} (${parentUuid ?? ''})`;
  if (parentState === 'missing') return [`its parent is not here: ${called}`];
  if (parentState === 'loop') return [`it is among its own parents: it names ${called}`];
  if (parentState === 'raw') return [`its parent is a raw disk, ${escapeControls(parentPath ?? '')}`];
  if (parentState === 'ambiguous') {
    const which = parentCandidates.slice(0, 3).map(escapeControls).join(', ');
    return [`its parent may be any of ${parentCandidates.length}: ${which}; it names ${called}`];
  }
  if (parentState !== 'moved' || parentPath === null) return [];
  return [`its parent has moved: ${escapeControls(shellLine(['vhd', 'relink', path, '--parent', parentPath]))}`];
}
