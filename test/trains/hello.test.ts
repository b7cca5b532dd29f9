import { expect, test } from 'vitest';
import { PhtResult } from '../../src/model/result/schema.ts';
import { runTrain, type TrainEnd } from './run-in-image.ts';

function hello(files: Record<string, string>, step = 'run'): Promise<TrainEnd> {
  return runTrain(
    'hello',
    { step, dataset: 'cgd', parameters: {} },
    { '/data/cgd/dataset.json': '{}', ...files },
  );
}

test('hello counts the rows of all files, with and without a last line break', async () => {
  const end = await hello({ '/data/cgd/a.csv': 'x\n1\n2\n', '/data/cgd/b.csv': 'x\r\n3\r\n4' });
  expect(end).toMatchObject({ exitCode: 0, stderr: '' });
  expect(PhtResult.parse(end.result).outputs).toEqual([
    { id: 'rows', kind: 'Frequencies', title: 'Rows', dims: [], cells: [{ k: [], n: 4 }] },
  ]);
});

test.each([
  ['an empty file', { '/data/cgd/a.csv': '' }, 'run', 'hello: a.csv is empty or missing\n'],
  ['no file', {}, 'run', 'hello: the dataset has no file\n'],
  ['a combine step', { '/data/cgd/a.csv': 'x\n1\n' }, 'combine', 'hello: this train has no combine step\n'],
])('%s fails cleanly', async (_, files, step, stderr) => {
  const end = await hello(files, step);
  expect(end).toMatchObject({ exitCode: 1, stderr });
  expect(end.result).toBeUndefined();
});
