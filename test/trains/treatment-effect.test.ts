import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { DatasetDescription } from '../../src/model/dataset.ts';
import { PhtResult } from '../../src/model/result/schema.ts';
import { Answer, tableOf, widestLine } from './answer.ts';
import { runR, runTrain, type TrainEnd } from './run-in-image.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const STATIONS = ['amsterdam', 'europe-other', 'nih', 'us-other'] as const;
const PARAMETERS = { time: 'tstop', status: 'status', event: '1', arm: 'treat', treated: 'rIFN-g' };

/** The train's numbers against R's own pooled fit of the same patients, which never were in four files. */
const ORACLE = `
suppressPackageStartupMessages(library(survival))
first <- survival::cgd[survival::cgd$enum == 1, ]
test <- survdiff(Surv(tstop, status) ~ treat + strata(hos.cat), data = first)
u <- test$obs - test$exp
cat(jsonlite::toJSON(list(
  u = I(u[2, ]), U = sum(u[2, ]), V = test$var[2, 2], chisq = test$chisq, categories = I(levels(first$hos.cat)),
  patients = I(as.vector(table(first$treat))), events = I(as.vector(table(first$treat[first$status == 1])))
), auto_unbox = TRUE, digits = I(17)))
`;
const Oracle = z.object({
  u: z.array(z.number()).length(4),
  U: z.number(),
  V: z.number(),
  chisq: z.number(),
  categories: z.array(z.string()).length(4),
  patients: z.array(z.number()).length(2),
  events: z.array(z.number()).length(2),
});
const CATEGORIES: Record<(typeof STATIONS)[number], string> = {
  amsterdam: 'Europe:Amsterdam',
  'europe-other': 'Europe:other',
  nih: 'US:NIH',
  'us-other': 'US:other',
};

let csv: Record<string, string>;
let oracle: z.infer<typeof Oracle>;
const raw: Record<string, PhtResult> = {};

async function describeStation(station: string): Promise<z.infer<typeof DatasetDescription>> {
  const yaml = await readFile(path.join(ROOT, 'stations', station, 'datasets/cgd.yaml'), 'utf8');
  const { file, ...described } = z.looseObject({ file: z.string() }).parse(parse(yaml));
  return DatasetDescription.parse({ id: 'cgd', files: [file], ...described });
}

async function runStation(
  csvText: string,
  parameters: object = PARAMETERS,
  dataset?: object,
): Promise<TrainEnd> {
  return runTrain(
    'treatment-effect',
    { step: 'run', dataset: 'cgd', parameters },
    {
      '/data/cgd/dataset.json': JSON.stringify(dataset ?? (await describeStation('nih'))),
      '/data/cgd/cgd.csv': csvText,
    },
  );
}

async function combine(results: Record<string, unknown>): Promise<Answer> {
  const cargo = Object.entries(results).map(([station, result]) => [
    `/cargo/${station}.json`,
    JSON.stringify(result),
  ]);
  const request = { step: 'combine', dataset: 'cgd', parameters: PARAMETERS };
  const end = await runTrain('treatment-effect', request, Object.fromEntries(cargo));
  expect(end.stderr).toBe('');
  expect(end.exitCode).toBe(0);
  return Answer.parse(end.result);
}

function testOf(result: PhtResult | undefined): { u: number; v: number; n: number } {
  const output = result?.outputs.find(({ id }) => id === 'log_rank');
  return z.object({ u: z.number(), v: z.number(), n: z.number() }).parse(output);
}

beforeAll(async () => {
  const exported = await runR(await readFile(path.join(ROOT, 'scripts/export-cgd.R'), 'utf8'));
  expect(exported).toMatchObject({ exitCode: 0, stderr: '' });
  csv = z.record(z.string(), z.string()).parse(JSON.parse(exported.stdout));
  oracle = Oracle.parse(JSON.parse((await runR(ORACLE)).stdout));
  for (const station of STATIONS) {
    const end = await runStation(csv[station] ?? '', PARAMETERS, await describeStation(station));
    expect(end).toMatchObject({ exitCode: 0, stderr: '' });
    raw[station] = PhtResult.parse(end.result);
  }
});

describe('four hospitals of the cgd trial, raw', () => {
  test('each has its own patients', () => {
    expect(Object.fromEntries(STATIONS.map((station) => [station, testOf(raw[station]).n]))).toEqual({
      amsterdam: 19,
      'europe-other': 20,
      nih: 26,
      'us-other': 63,
    });
  });

  test("U, V and chi-squared equal R's pooled stratified log-rank to 1e-9", async () => {
    for (const station of STATIONS) {
      const u = oracle.u[oracle.categories.indexOf(CATEGORIES[station])];
      expect(Math.abs(testOf(raw[station]).u - (u ?? Number.NaN))).toBeLessThan(1e-9);
    }
    const sum = (part: 'u' | 'v'): number =>
      STATIONS.reduce((total, name) => total + testOf(raw[name])[part], 0);
    expect(Math.abs(sum('u') - oracle.U)).toBeLessThan(1e-9);
    expect(Math.abs(sum('v') - oracle.V)).toBeLessThan(1e-9);
    expect(Math.abs(sum('u') ** 2 / sum('v') - oracle.chisq)).toBeLessThan(1e-9);
    expect(oracle.chisq).toBeCloseTo(12.35815, 5);
    const { values } = await combine(raw);
    expect(Math.abs(Number(values['chi_squared']) - oracle.chisq)).toBeLessThan(1e-9);
    const [u, v] = [sum('u'), sum('v')];
    expect(values['hazard_ratio_low']).toBeCloseTo(Math.exp(u / v - 1.959964 / Math.sqrt(v)), 6);
    expect(values['hazard_ratio_high']).toBeCloseTo(Math.exp(u / v + 1.959964 / Math.sqrt(v)), 6);
  });

  test('the answer is the one an epidemiologist can report', async () => {
    const answer = await combine(raw);
    expect(answer.sections[0]?.lines).toEqual([
      'Stratified log-rank: chi-squared 12.4 on 1 degree of freedom, p = 0.0004',
      'Hazard ratio of rIFN-g (Peto, one step): 0.33',
      '95 % interval: 0.18 to 0.62',
      'Heterogeneity: Q 0.87 on 3 degrees of freedom, p = 0.83',
    ]);
    expect(answer.values).toMatchObject({ stations: 4, stations_in_test: 4, heterogeneity_df: 3 });
    expect(tableOf(answer, 'Patients and events')).toEqual([
      ['placebo', ...[oracle.patients[0], oracle.events[0]].map(String)],
      ['rIFN-g', ...[oracle.patients[1], oracle.events[1]].map(String)],
    ]);
    expect(widestLine(answer)).toBeLessThanOrEqual(76);
  });

  test('the estimate without a station is that of the others', async () => {
    const { values } = await combine(raw);
    const { nih: _, ...others } = raw;
    expect(values['hazard_ratio_without.nih']).toBeCloseTo(
      Number((await combine(others)).values['hazard_ratio']),
      12,
    );
  });
});

describe('what a station may hold back', () => {
  test('a suppressed cell gives no total, and a suppressed test does not contribute', async () => {
    const released = structuredClone(raw);
    for (const output of released['nih']?.outputs ?? []) {
      if (output.kind === 'StatisticalHypothesisTests') Object.assign(output, { n: null, u: null, v: null });
      if (output.id === 'events') for (const cell of 'cells' in output ? output.cells : []) cell.n = null;
    }
    const answer = await combine(released);
    expect(answer.values).toMatchObject({
      stations: 4,
      stations_in_test: 3,
      heterogeneity_df: 2,
      'events.rIFN-g': null,
    });
    expect(tableOf(answer, 'Patients and events').map((row) => row[2])).toEqual(
      Array(2).fill('suppressed at 1 of 4'),
    );
    expect(tableOf(answer, 'By station').map(([station]) => station)).toEqual([
      'amsterdam',
      'europe-other',
      'us-other',
    ]);
    const part = answer.sections.find(({ heading }) => heading === 'Who took part')?.lines ?? [];
    expect(part).toContain('nih: not in the test (suppressed or not released there)');
  });

  test('without any test there is no estimate, and a test alone has none without it', async () => {
    const [log] = PhtResult.parse(raw['nih']).outputs;
    const silent = { schema: 'pht-result/v1', outputs: [{ ...log, n: null, u: null, v: null }] };
    const answer = await combine({ nih: silent });
    expect(answer.values).toMatchObject({
      stations_in_test: 0,
      hazard_ratio: null,
      p: null,
      heterogeneity_q: null,
    });
    const alone = await combine({ 'a-station-with-the-longest-name-of-all-40': raw['nih'] });
    expect(tableOf(alone, 'By station')[0]?.[5]).toBe('-');
    expect(widestLine(alone)).toBeLessThanOrEqual(76);
  });
});

describe('a station with unusual data', () => {
  const columns = [
    { name: 'days', type: 'number', missing: ['-9'] },
    { name: 'end', type: 'category', levels: ['alive', 'dead', 'lost'] },
    { name: 'group', type: 'category', levels: ['Übliche', 'neu'], missing: ['?'] },
  ];
  const dataset = { id: 'cgd', title: 'Small', format: 'csv', files: ['cgd.csv'], columns };
  const parameters = { time: 'days', status: 'end', event: 'dead', arm: 'group', treated: 'Übliche' };
  const run = async (...rows: string[]): Promise<TrainEnd> =>
    runStation(['days,end,group', ...rows, ''].join('\n'), parameters, dataset);

  test('missing codes leave a patient out; U and V of three patients as by hand', async () => {
    // At risk 3 (2 treated): E = 2/3, V = 2/9. At risk 2 (1 treated): E = 1/2, V = 1/4. Deaths: treated, then other.
    const end = await run(
      '1,dead,Übliche',
      '2,dead,neu',
      '3,lost,Übliche',
      '-9,dead,neu',
      '4,dead,?',
      '5,,neu',
    );
    expect(end.stderr).toBe('3 patients left out: a value is missing\n');
    const test = testOf(PhtResult.parse(end.result));
    // Not one unit in the last place of a double is lost on the way.
    expect(Math.abs(test.u - (1 - (2 / 3 + 1 / 2)))).toBeLessThan(1e-15);
    expect(Math.abs(test.v - (2 / 9 + 1 / 4))).toBeLessThan(1e-15);
    expect(PhtResult.parse(end.result).outputs[1]).toMatchObject({
      dims: [{ var: 'group', levels: ['Übliche', 'neu'] }],
      cells: [
        { k: [0], n: 2 },
        { k: [1], n: 1 },
      ],
    });
    expect(PhtResult.parse(end.result).outputs[2]).toMatchObject({
      cells: expect.arrayContaining([{ k: [0, 2], n: 1 }]),
    });
  });

  test('one arm only, or no event, holds no information', async () => {
    for (const rows of [
      ['1,dead,neu', '2,lost,neu'],
      ['1,alive,neu', '2,lost,Übliche'],
    ]) {
      expect(testOf(PhtResult.parse((await run(...rows)).result))).toMatchObject({ n: 2, u: 0, v: 0 });
    }
  });

  test.each([
    ['an empty file', '', {}, /no lines available/],
    ['a header alone', 'days,end,group\n', {}, /the dataset has no rows/],
    ['a missing column', 'days,end\n1,dead\n', {}, /the files have no column 'group'/],
    ['text for a number', 'days,end,group\nsoon,dead,neu\n', {}, /'days' is not a number in row 1/],
    ['an unknown level', 'days,end,group\n1,dead,alt\n', {}, /'group' is outside its levels in row 1/],
    [
      'a missing parameter',
      'days,end,group\n1,dead,neu\n',
      { arm: undefined },
      /the parameter 'arm' is missing/,
    ],
    [
      'an unknown treated level',
      'days,end,group\n1,dead,neu\n',
      { treated: 'alt' },
      /'alt' is not a level of 'group'/,
    ],
    ['three arms', 'days,end,group\n1,dead,neu\n', { arm: 'end' }, /must have two levels/],
  ])('%s fails cleanly', async (_, text, changed, message) => {
    const end = await runStation(text, { ...parameters, ...changed }, dataset);
    expect(end.exitCode).not.toBe(0);
    expect(end.stderr).toMatch(message);
    expect(end.result).toBeUndefined();
  });
});
