import { type InputFlags, inputOptions } from './input-options.ts';

/**
 * For a call that was refused because others have its target as their parent: refuses it for good if one of its sources,
 * what it is made of or a child of, is one of them, directly or through others.
 * @throws VhdError `ERR_VHD_SAME_FILE` in place of `error` if it is
 */
export async function refuseForChain(
  error: unknown,
  sources: readonly string[],
  target: string,
  flags: InputFlags,
): Promise<never> {
  const { closeLinks, resolveChain } = await import('../src/open-chain.ts');
  const { parentDirs, followParents, allowRawParent } = inputOptions(flags);
  const options = { parentDirs, followParents, allowRawParent, lock: false };
  // Of a source that has no chain, or is none, the first refusal is right.
  const { refuseParents } = await import('../src/ops/same-file.ts');
  for (const source of sources) {
    const links = source === '-' ? [] : await resolveChain(source, options).catch(() => []);
    await closeLinks(links);
    await refuseParents(
      links.slice(1).map(({ path }) => path),
      target,
    );
  }
  throw error;
}

/**
 * Refuses to write a child over its own parent: the first thing to say of it, whoever else has that as parent.
 * @throws VhdError `ERR_VHD_SAME_FILE` if it is the same file
 */
export async function refuseOwnParent(parent: string, target: string): Promise<void> {
  if (target === '-') return;
  const { refuseOwnParents } = await import('../src/ops/parent-directory.ts');
  await refuseOwnParents([parent], target);
}
