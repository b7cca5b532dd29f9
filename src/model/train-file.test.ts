import { expect, test } from 'vitest';
import { durationMsOf, TrainFile } from './train-file.ts';

const SMALLEST = {
  title: 'Hello',
  purpose: { text: 'Count the rows of a dataset.' },
  dataset: 'cgd',
  outputs: { kinds: ['Frequencies'] },
};

test('what is left out has a default', () => {
  expect(TrainFile.parse(SMALLEST)).toEqual({
    ...SMALLEST,
    purpose: { text: 'Count the rows of a dataset.', duo: [] },
    parameters: {},
    route: { pattern: 'parallel', minStations: 1, deadlineMs: 7 * 86_400_000 },
    limits: {
      memoryBytesMax: 256 * 1024 ** 2,
      cpuMillis: 1000,
      pidsMax: 32,
      wallMsMax: 300_000,
      outputBytesMax: 256 * 1024,
      scratchBytesMax: 16 * 1024 ** 2,
    },
    combine: false,
  });
});

test('units are read', () => {
  const limits = { memory: '1GiB', cpus: 0.5, processes: 8, wall: '90s', output: '64KiB', scratch: '2MiB' };
  const parsed = TrainFile.parse({ ...SMALLEST, limits, route: { deadline: '12h' } });
  expect(parsed.limits).toEqual({
    memoryBytesMax: 1024 ** 3,
    cpuMillis: 500,
    pidsMax: 8,
    wallMsMax: 90_000,
    outputBytesMax: 65_536,
    scratchBytesMax: 2 * 1024 ** 2,
  });
  expect(parsed.route.deadlineMs).toBe(43_200_000);
});

test.each([
  ['an unknown member', { colour: 'red' }],
  ['a limit without a unit', { limits: { memory: 64 } }],
  ['a limit of another unit', { limits: { memory: '64MB' } }],
  ['too little memory', { limits: { memory: '1MiB' } }],
  ['a deadline without a unit', { route: { deadline: '7' } }],
  ['a deadline beyond a manifest’s life', { route: { deadline: '91d' } }],
  ['another pattern', { route: { pattern: 'serial' } }],
  ['no kind of output', { outputs: { kinds: [] } }],
  ['an unknown kind', { outputs: { kinds: ['Histogram'] } }],
  ['a purpose that says nothing', { purpose: { text: 'because' } }],
  ['a term of no ontology', { purpose: { text: 'Count the rows of it.', duo: ['GRU'] } }],
  ['a title of two lines', { title: 'a\nb' }],
  ['a dataset that is a path', { dataset: '../cgd' }],
  ['a parameter of a bad name', { parameters: { 'a-b': 1 } }],
  ['an image that is an option', { image: '--privileged' }],
])('%s is refused', (_, change) => {
  expect(TrainFile.safeParse({ ...SMALLEST, ...change }).success).toBe(false);
});

test.each([
  ['10s', 10_000],
  ['15m', 900_000],
  ['2h', 7_200_000],
  ['1d', 86_400_000],
  ['0s', null],
  ['1.5h', null],
  ['s', null],
  ['-1s', null],
  ['', null],
  ['99999999d', null],
])('the duration %j', (text, durationMs) => {
  expect(durationMsOf(text)).toBe(durationMs);
});
