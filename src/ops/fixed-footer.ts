import { identityFields } from '../disk/create-storage.ts';
import { encodeFooter } from '../format/footer.ts';
import { newFooter } from '../format/new-footer.ts';
import { type FullConvertOptions, identityOf } from './convert-options.ts';

/** The footer of a fixed image of `size` bytes; `contentUuid` counts where the options give no identifier. */
export function fixedFooter(size: number, options: FullConvertOptions, contentUuid?: Uint8Array): Uint8Array {
  const identity = identityOf(options);
  const fields = identityFields({ ...identity, uuid: identity.uuid ?? contentUuid });
  return encodeFooter(newFooter({ type: 'fixed', size, ...fields }));
}
