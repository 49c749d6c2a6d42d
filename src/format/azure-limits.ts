/** Azure takes disks of whole MiB. */
export const AZURE_STEP_BYTES: number = 1024 ** 2;
/** Least virtual size that can be uploaded as a managed disk (Azure: an upload size of 20 972 032 bytes). */
export const AZURE_MIN_BYTES: number = 20 * 1024 ** 2;
/** Largest virtual size that can be uploaded (Azure: an upload size of 35 183 298 347 520 bytes). */
export const AZURE_MAX_BYTES: number = 32_767 * 1024 ** 3;
