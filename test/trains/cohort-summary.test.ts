import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { PhtResult } from '../../src/model/result/schema.ts';
import { Answer, sectionOf, tableOf, widestLine } from './answer.ts';
import { runTrain, type TrainEnd } from './run-in-image.ts';

const HEART = path.resolve(import.meta.dirname, '../../../shared/data/heart');
const HOSPITALS = ['cleveland', 'hungarian', 'switzerland', 'va'] as const;
const NAMES = 'age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,num';

type Column = { name: string; type: string; unit?: string; levels?: string[]; missing?: string[] };

async function runStation(csv: string, columns: Column[], parameters: object): Promise<TrainEnd> {
  const description = { id: 'cohort', title: 'Cohort', format: 'csv', files: ['cohort.csv'], columns };
  return runTrain(
    'cohort-summary',
    { step: 'run', dataset: 'cohort', parameters },
    {
      '/data/cohort/dataset.json': JSON.stringify(description),
      '/data/cohort/cohort.csv': csv,
    },
  );
}

async function resultOf(...run: Parameters<typeof runStation>): Promise<PhtResult> {
  const end = await runStation(...run);
  expect(end).toMatchObject({ exitCode: 0, stderr: '' });
  return PhtResult.parse(end.result);
}

async function combine(results: Record<string, unknown>, parameters: object): Promise<Answer> {
  const cargo = Object.entries(results).map(([station, result]) => [
    `/cargo/${station}.json`,
    JSON.stringify(result),
  ]);
  const request = { step: 'combine', dataset: 'cohort', parameters };
  const end = await runTrain('cohort-summary', request, Object.fromEntries(cargo));
  expect(end).toMatchObject({ exitCode: 0, stderr: '' });
  return Answer.parse(end.result);
}

function outputOf(result: PhtResult | undefined, id: string): PhtResult['outputs'][number] | undefined {
  return result?.outputs.find((output) => output.id === id);
}

function countsOf(result: PhtResult | undefined, id: string): (number | null)[] {
  const output = outputOf(result, id);
  return output?.kind === 'Frequencies' ? output.cells.map(({ n }) => n) : [];
}

function groupOf(result: PhtResult | undefined, id: string): { n: number; mean: number; sd: number } {
  const output = outputOf(result, id);
  const group = output?.kind === 'LinearAggregations' ? output.groups[0] : undefined;
  return z.object({ n: z.number(), mean: z.number(), sd: z.number() }).parse(group);
}

describe('a small cohort', () => {
  const columns: Column[] = [
    { name: 'Sex', type: 'category', levels: ['f', 'm'], missing: ['?'] },
    { name: 'age', type: 'number', unit: 'years', missing: ['-9'] },
    { name: 'chol', type: 'number', missing: ['0'] },
  ];
  const parameters = { counts: ['Sex'], means: ['age', 'chol'], histograms: { age: [40, 50], chol: [1, 2] } };
  const csv = 'age,Sex,chol\n30,f,0\n40,m,0.0\n49.5,f,\n-9,?,0\n-9.0,m,0\n';

  test('counts, means with their evidence and left-closed histograms; missing codes count by value', async () => {
    const result = await resultOf(csv, columns, parameters);
    expect(result.outputs.map(({ id, kind }) => [id, kind])).toEqual([
      ['count.sex', 'Frequencies'],
      ['mean.age', 'LinearAggregations'],
      ['mean.chol', 'NotAvailable'],
      ['histogram.age', 'Frequencies'],
      ['histogram.chol', 'NotAvailable'],
    ]);
    expect(countsOf(result, 'count.sex')).toEqual([2, 2]);
    expect(countsOf(result, 'histogram.age')).toEqual([1, 2, 0]);
    expect(outputOf(result, 'mean.age')).toMatchObject({
      var: 'age',
      unit: 'years',
      groups: [{ n: 3, evidence: { absSum: 119.5, absMax: 49.5, absTop2Sum: 89.5 } }],
    });
    const { mean, sd } = groupOf(result, 'mean.age');
    expect(mean).toBeCloseTo(119.5 / 3, 12);
    expect(sd).toBeCloseTo(Math.sqrt((30 ** 2 + 40 ** 2 + 49.5 ** 2 - 119.5 ** 2 / 3) / 2), 10);
  });

  test('a value on the outer edge, one patient, labels and numbers as other programs write them', async () => {
    const result = await resultOf(
      'v,w\n" 1.0 ",5\n1,\n',
      [
        { name: 'v', type: 'category', levels: ['0', '1'] },
        { name: 'w', type: 'number' },
      ],
      { counts: ['v'], means: ['w'], histograms: { w: [0, 5] } },
    );
    expect(countsOf(result, 'count.v')).toEqual([0, 2]);
    expect(countsOf(result, 'histogram.w')).toEqual([0, 0, 1]);
    expect(outputOf(result, 'mean.w')).toMatchObject({ groups: [{ n: 1, mean: 5, sd: null }] });
  });

  test('pooling: what is suppressed somewhere has no total; what is absent somewhere is said', async () => {
    const one = await resultOf(csv, columns, parameters);
    const two = await resultOf('age,Sex,chol\n60,m,200\n70,m,220\n', columns, parameters);
    const answer = await combine({ one, two }, parameters);
    expect(answer.values).toMatchObject({
      stations: 2,
      'n.age': 5,
      'n.chol': 2,
      'mean.chol': 210,
      'count.Sex.f': 2,
    });
    const ages = [30, 40, 49.5, 60, 70];
    const mean = ages.reduce((sum, age) => sum + age, 0) / 5;
    expect(answer.values['mean.age']).toBeCloseTo(mean, 12);
    expect(answer.values['sd.age']).toBeCloseTo(
      Math.sqrt(ages.reduce((sum, age) => sum + (age - mean) ** 2, 0) / 4),
      10,
    );
    expect(tableOf(answer, 'Mean of chol')).toContainEqual(['one', 'not available there', '-', '-']);
    expect(sectionOf(answer, 'Histogram of chol').lines).toEqual(['one: not available there']);
    expect(tableOf(answer, 'Histogram of age')).toEqual([
      ['< 40', '1'],
      ['40 to < 50', '2'],
      ['>= 50', '2'],
    ]);

    const held = structuredClone(one);
    for (const output of held.outputs) {
      if (output.kind === 'Frequencies') for (const cell of output.cells.slice(0, 1)) cell.n = null;
      if (output.kind === 'LinearAggregations')
        Object.assign(output.groups[0] ?? {}, { n: null, mean: null, sd: null });
    }
    const partial = await combine({ one: held, two, three: two }, parameters);
    expect(partial.values).toMatchObject({
      'n.age': 4,
      'histogram.age.< 40': null,
      'histogram.age.>= 50': 4,
    });
    expect(tableOf(partial, 'Histogram of age')[0]).toEqual(['< 40', 'suppressed at 1 of 3']);
    expect(tableOf(partial, 'Counts of Sex')[0]).toEqual(['f', 'suppressed at 1 of 3']);
    expect(tableOf(partial, 'Mean of age (years)')).toContainEqual(['one', 'suppressed', '-', '-']);
    expect(tableOf(partial, 'Mean of age (years)')).toContainEqual(['pooled (2 of 3)', '4', '65', '5.774']);
    expect(widestLine(partial)).toBeLessThanOrEqual(76);
  });

  test.each([
    ['an empty file', '', {}, /cohort.csv is empty/],
    ['a header alone', 'age,Sex,chol\n', {}, /the dataset has no rows/],
    ['a missing column', 'age,chol\n1,2\n', {}, /the files have no column Sex/],
    ['a column that nobody described', csv, { means: ['bmi'] }, /the station describes no column bmi/],
    ['a column without levels', csv, { counts: ['age'] }, /no levels of age/],
    ['an unknown level', 'age,Sex,chol\n1,x,1\n', {}, /Sex is outside its levels in row 1/],
    ['text for a number', 'age,Sex,chol\n1,f,1\nnan,f,1\n', {}, /age is not a number in row 2/],
    ['a ragged row', 'age,Sex,chol\n1,f\n', {}, /line 2: not as many fields/],
    ['an open quote', 'age,Sex,chol\n1,"f,2\n', {}, /cannot read its input/],
    ['no parameters', csv, { counts: [], means: [], histograms: {} }, /name no column/],
    ['falling breaks', csv, { histograms: { age: [2, 1] } }, /breaks of age/],
    ['one column twice', csv, { means: ['age', 'AGE'] }, /means names a column twice/],
    ['a text for a list', csv, { counts: 'Sex' }, /counts is not a list/],
  ])('%s fails cleanly', async (_, text, changed, message) => {
    const end = await runStation(text, columns, { ...parameters, ...changed });
    expect(end.exitCode).toBe(1);
    expect(end.stderr).toMatch(message);
    expect(end.stderr).not.toMatch(/Traceback/);
    expect(end.result).toBeUndefined();
  });
});

const Summary = z.object({
  n: z.number(),
  mean: z.number(),
  sd: z.number(),
  hist_counts: z.array(z.number()),
});
const Absent = z.object({ n: z.literal(0), n_missing: z.number() });
const Hospital = z.object({
  rows: z.number(),
  age: Summary,
  chol_zero_as_missing: z.union([Summary, Absent]),
  num_counts: z.record(z.string(), z.number()),
});
const Reference = z.object({
  age_hist_breaks_left_closed: z.array(z.number()),
  chol_hist_breaks_left_closed_missing_variant: z.array(z.number()),
  sites: z.record(z.string(), Hospital),
  pooled: z.object({ age: Summary, chol_zero_as_missing: Summary }),
});

const isHeartHere = existsSync(path.join(HEART, 'reference.json'));

/** Said aloud, since a test that did not run must not look like one that did. */
function notRun(what: string): void {
  process.stderr.write(`NOT RUN: ${what}: the data are not here (looked for ${HEART})\n`);
}

(isHeartHere ? describe : notRun)('four hospitals of the UCI heart disease data', () => {
  const columns: Column[] = NAMES.split(',').map((name) => ({ name, type: 'number', missing: ['?'] }));
  Object.assign(columns[4] ?? {}, { missing: ['?', '0'] });
  Object.assign(columns[13] ?? {}, { type: 'category', levels: ['0', '1', '2', '3', '4'] });
  const results: Record<string, PhtResult> = {};
  let reference: z.infer<typeof Reference>;
  let parameters: object;

  beforeAll(async () => {
    reference = Reference.parse(JSON.parse(await readFile(path.join(HEART, 'reference.json'), 'utf8')));
    const age = reference.age_hist_breaks_left_closed;
    const chol = reference.chol_hist_breaks_left_closed_missing_variant;
    parameters = { counts: ['num'], means: ['age', 'chol'], histograms: { age, chol } };
    for (const hospital of HOSPITALS) {
      const rows = await readFile(path.join(HEART, `processed.${hospital}.data`), 'utf8');
      results[hospital] = await resultOf(`${NAMES}\n${rows}`, columns, parameters);
    }
  });

  test.each(HOSPITALS)('%s equals the reference', (hospital) => {
    const expected = reference.sites[hospital];
    if (expected === undefined) throw new Error(`the reference lacks ${hospital}`);
    const result = results[hospital];
    expect(countsOf(result, 'count.num')).toEqual(Object.values(expected.num_counts));
    for (const [name, summary] of Object.entries({
      age: expected.age,
      chol: expected.chol_zero_as_missing,
    })) {
      if (!('mean' in summary)) {
        expect(hospital).toBe('switzerland');
        expect(outputOf(result, `mean.${name}`)?.kind).toBe('NotAvailable');
        expect(outputOf(result, `histogram.${name}`)?.kind).toBe('NotAvailable');
        continue;
      }
      const { n, mean, sd } = groupOf(result, `mean.${name}`);
      expect(n).toBe(summary.n);
      expect(Math.abs(mean / summary.mean - 1)).toBeLessThan(1e-9);
      expect(Math.abs(sd / summary.sd - 1)).toBeLessThan(1e-9);
      // The reference closes its outer breaks, the train leaves them open: nothing may lie outside.
      expect(countsOf(result, `histogram.${name}`)).toEqual([0, ...summary.hist_counts, 0]);
    }
  });

  test('pooled equals the reference, and Switzerland has no cholesterol', async () => {
    const answer = await combine(results, parameters);
    for (const [name, summary] of Object.entries({
      age: reference.pooled.age,
      chol: reference.pooled.chol_zero_as_missing,
    })) {
      expect(answer.values[`n.${name}`]).toBe(summary.n);
      expect(Math.abs(Number(answer.values[`mean.${name}`]) / summary.mean - 1)).toBeLessThan(1e-9);
      expect(Math.abs(Number(answer.values[`sd.${name}`]) / summary.sd - 1)).toBeLessThan(1e-9);
      const counts = tableOf(answer, `Histogram of ${name}`).map((row) => Number(row[1]));
      expect(counts).toEqual([0, ...summary.hist_counts, 0]);
    }
    expect(tableOf(answer, 'Mean of chol')).toContainEqual(['switzerland', 'not available there', '-', '-']);
    expect(sectionOf(answer, 'Histogram of chol').lines).toEqual(['switzerland: not available there']);
  });
});
