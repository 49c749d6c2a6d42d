import { OutputFile, type OutputOptions } from '../src/ops/output-file.ts';
import { streamTarget } from './endpoints.ts';
import type { Session } from './session.ts';

/** A place for a text that is written as a whole. */
export interface TextTarget {
  /** Writes the text and makes a file of it durable under its name. */
  write(text: string): Promise<void>;
  /** Removes what was begun, unless it was written. */
  discard(): Promise<void>;
}

/**
 * Opens a file, which appears when it is complete, a pipe or a device; `-` is standard output, terminals included.
 * @throws VhdError `ERR_VHD_EXISTS` if the file exists and `force` is not given, `ERR_VHD_IN_USE`
 */
export async function openTextTarget(session: Session, name: string, options: OutputOptions): Promise<TextTarget> {
  const nothing = (): Promise<void> => Promise.resolve();
  if (name === '-') return { write: (text) => session.print(text), discard: nothing };
  const sink = await streamTarget(session, name);
  if (sink !== undefined) {
    const write = async (text: string): Promise<void> => {
      sink.stream.write(text);
      await sink.finish();
    };
    return { write, discard: nothing };
  }
  const output = await OutputFile.create(name, options);
  return {
    write: async (text) => {
      await output.storage.write(new TextEncoder().encode(text), 0);
      await output.commit();
    },
    discard: () => output.discard(),
  };
}
