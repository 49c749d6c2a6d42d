import { OutputFile, type OutputOptions } from '../src/ops/output-file.ts';
import { streamTarget } from './endpoints.ts';
import { type Session, writeText } from './session.ts';

/** A place for a text. */
export interface TextTarget {
  /** Adds text at the end. */
  write(text: string): Promise<void>;
  /** To be called when everything is written: makes a file of it durable under its name. */
  finish(): Promise<void>;
  /** Removes what was begun, unless it is finished. */
  discard(): Promise<void>;
}

const nothing = (): Promise<void> => Promise.resolve();

/**
 * Opens a file, which appears when it is complete, a pipe or a device; `-` is standard output, terminals included.
 * @throws VhdError `ERR_VHD_EXISTS` if the file exists and `force` is not given, `ERR_VHD_IN_USE`
 */
export async function openTextTarget(session: Session, name: string, options: OutputOptions): Promise<TextTarget> {
  if (name === '-') return { write: (text) => session.print(text), finish: nothing, discard: nothing };
  const sink = await streamTarget(session, name);
  if (sink !== undefined) {
    return { write: (text) => writeText(sink.stream, text), finish: sink.finish, discard: nothing };
  }
  const output = await OutputFile.create(name, options);
  let position = 0;
  return {
    write: async (text) => {
      const bytes = new TextEncoder().encode(text);
      await output.storage.write(bytes, position);
      position += bytes.length;
    },
    finish: async () => {
      await output.commit();
    },
    discard: () => output.discard(),
  };
}
