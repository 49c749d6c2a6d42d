/**
 * Waits for all of the calls, also when one fails, then rejects with the first failure. `Promise.all` would go on while
 * the others still read into buffers or write to places that the caller takes for its own again.
 */
export async function settleAll(calls: readonly Promise<unknown>[]): Promise<void> {
  const outcomes = await Promise.allSettled(calls);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}
