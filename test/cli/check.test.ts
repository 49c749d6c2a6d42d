import { appendFile, copyFile, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { createImage } from '../../src/ops/create.ts';
import { buildImage } from '../support/build-image.ts';
import { vhd } from '../support/cli.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-check');
const MIB = 1024 ** 2;
const file = (name: string): string => folder.file(name);

beforeAll(async () => {
  await createImage(file('good.vhd'), { size: 10 * MIB });
  await copyFile(file('good.vhd'), file('appended.vhd'));
  await appendFile(file('appended.vhd'), 'garbage');
  const blocks = [{ index: 0 }, { index: 1, entry: 1 }];
  await writeFile(file('bad.vhd'), buildImage({ size: MIB, blockSize: 65536, alignment: 'aligned', blocks }));
});

describe('check', () => {
  it('says that nothing was found', async () => {
    const result = await vhd(['check', file('good.vhd')]);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toBe(`${file('good.vhd')}: dynamic, 10 MiB: nothing found\n`);
  });

  it('ends with 1 for errors, and says what they mean and what mends them', async () => {
    const { code, stdout } = await vhd(['check', file('bad.vhd')]);
    expect(code).toBe(1);
    const [heading, first, means, mend] = stdout.split('\n');
    expect(heading).toMatch(/bad\.vhd: dynamic, 1 MiB: 1 error, 1 note$/);
    expect(first).toMatch(/^ {2}error {4}a block lies over the headers .* \[bat\.in-metadata\]$/);
    expect(means).toMatch(/^ {11}other programs show the headers as data/);
    expect(mend).toBe(`           mend: vhd repair ${file('bad.vhd')} --drop-blocks`);
  });

  it('counts warnings under --strict', async () => {
    expect((await vhd(['check', file('appended.vhd')])).code).toBe(0);
    expect((await vhd(['check', '--strict', file('appended.vhd')])).code).toBe(1);
    expect(await vhd(['check', '--strict', '-q', file('good.vhd')])).toMatchObject({ code: 0, stdout: '' });
  });

  it('prints an object a line for several images, and goes on after one that is not there', async () => {
    const result = await vhd(['doctor', '--json', file('bad.vhd'), file('none.vhd'), file('appended.vhd')]);
    expect(result.code).toBe(4);
    const reports = result.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(reports).toMatchObject([
      { schema: 'vhdkit/check/1', path: file('bad.vhd'), type: 'dynamic', virtualSize: MIB, ok: false },
      { schema: 'vhdkit/check/1', path: file('appended.vhd'), ok: true },
    ]);
    expect(reports[1]).toMatchObject({
      findings: [
        {
          ...{ rule: 'footer.displaced', severity: 'warning', path: file('appended.vhd') },
          remedy: `vhd repair ${file('appended.vhd')} --cut`,
        },
      ],
    });
  });

  it('wants a file', async () => {
    expect((await vhd(['check', '-'])).code).toBe(2);
  });
});
