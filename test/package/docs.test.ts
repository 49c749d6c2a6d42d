// The check of the doc comments, on a small entry file that lacks some.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findUndocumented } from '../../.config/check-docs.ts';

const THINGS = `
/** Documented. */
export interface Shape {
  /** Documented. */
  readonly sides: number;
  readonly bare: number;
  /** Documented. */
  nested: {
    deep: string;
  };
  area(): number;
}
/** Documented. */
export class Square implements Shape {
  sides = 4;
  ownField = 1;
  private hidden = this.#secret;
  #secret = 1;
  /** Documented. */
  nested = { deep: '' };
  area(): number { return this.hidden; }
  [Symbol.asyncDispose](): void {}
}
export function bareFunction(): void {}
/** Documented. */
export type Choice = { kind: 'a' } | string;
/** @internal */
export const tagOnly = 3;
export const notShown = 3;
`;

describe('docs:check', () => {
  let folder = '';
  let missing: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vhdkit-docs-'));
    await writeFile(join(folder, 'things.ts'), THINGS);
    const names = 'Shape, Square, bareFunction as renamed, type Choice, tagOnly';
    await writeFile(join(folder, 'entry.ts'), `export { ${names} } from './things.ts';\n`);
    missing = findUndocumented([join(folder, 'entry.ts')]).map((line) => line.split(' ').at(-1)!);
  });

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('names every export and public member without a doc comment, and no other', () => {
    const expected = ['Choice.kind', 'Shape.area', 'Shape.bare', 'Shape.deep', 'Square.area', 'Square.ownField'];
    expect(missing.sort()).toEqual([...expected, 'bareFunction', 'tagOnly'].sort());
  });

  it('says so when an entry is missing', () => {
    expect(findUndocumented([join(folder, 'gone.ts')])).toHaveLength(1);
  });
});
