/**
 * The structures of the format as values, without any I/O. Decoders return the best reading and what is wrong with it,
 * and never throw on content.
 * @module vhdkit/format
 */

export type { SectorRun } from './format/bitmap.ts';
export { allOnesBitmap, areAllSet, bitmapByteLength, decodeBitmap, isSectorSet, setSectors } from './format/bitmap.ts';
export type { Decoded } from './format/bytes.ts';
export { NO_OFFSET } from './format/bytes.ts';
export { checksumOf } from './format/checksum.ts';
export type { DynamicHeader } from './format/dynamic-header.ts';
export { decodeDynamicHeader, decodeParentName, encodeDynamicHeader } from './format/dynamic-header.ts';
export type { Footer } from './format/footer.ts';
export { decodeFooter, encodeFooter, isFooter } from './format/footer.ts';
export type { Geometry } from './format/geometry.ts';
export { geometryByteLength, geometryFor, isMaximumGeometry } from './format/geometry.ts';
export type { FooterFields } from './format/new-footer.ts';
export { newFooter, timestampFor, unixMilliseconds } from './format/new-footer.ts';
export type { ParentLocator } from './format/parent-locator.ts';
export { decodeParentLocator, encodeParentLocator, locatorSpaceBytes } from './format/parent-locator.ts';
export type { ParentLocatorName, ParentReference } from './format/parent-reference.ts';
export { encodeLocatorName, encodeParentName } from './format/parent-reference.ts';
export type { Rule, Severity } from './format/rule.ts';
export type { Finding, PartitionRuleId, RuleId } from './format/rules.ts';
export { describeFinding, RULES, remedyOf } from './format/rules.ts';
export type { VhdType } from './format/spec.ts';
export {
  DEFAULT_BLOCK_SIZE,
  DISK_TYPE,
  DYNAMIC_HEADER_BYTES,
  FOOTER_BYTES,
  MAX_BAT_BYTES,
  MAX_DYNAMIC_SIZE,
  SECTOR_BYTES,
  UNUSED_BAT_ENTRY,
  vhdTypeOf,
} from './format/spec.ts';
export { formatUuid, formatUuidMixedEndian, parseUuid } from './format/uuid.ts';
