/** Begins a sequence. */
type Start<T> = () => AsyncGenerator<T>;

/**
 * Lets the bytes of a stream be taken once only, whichever way: a second try would find them spent, and an empty disk in
 * their place. Returns a function that wraps each way.
 * @param what what to call it in the TypeError of the second try
 */
export function onceOnly(what: string): <T>(start: Start<T>) => Start<T> {
  let isTaken = false;
  return (start) => () => {
    if (isTaken) throw new TypeError(`${what} can be read once only`);
    isTaken = true;
    return start();
  };
}
