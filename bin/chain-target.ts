import { type InputFlags, inputOptions } from './input-options.ts';

/**
 * For a call that was refused because others have its target as their parent: refuses it for good if the source is one of
 * them, directly or through others.
 * @throws VhdError `ERR_VHD_SAME_FILE` in place of `error` if it is
 */
export async function refuseForChain(
  error: unknown,
  source: string,
  target: string,
  flags: InputFlags,
): Promise<never> {
  const { closeLinks, resolveChain } = await import('../src/open-chain.ts');
  const { parentDirs, followParents, allowRawParent } = inputOptions(flags);
  const options = { parentDirs, followParents, allowRawParent, lock: false };
  // Of a source that has no chain, or is none, the first refusal is right.
  const links = source === '-' ? [] : await resolveChain(source, options).catch(() => []);
  await closeLinks(links);
  const { refuseParents } = await import('../src/ops/same-file.ts');
  await refuseParents(
    links.slice(1).map(({ path }) => path),
    target,
  );
  throw error;
}
