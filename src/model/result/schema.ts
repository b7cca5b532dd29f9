import { z } from 'zod';
import { ColumnName, ShortText } from '../schema.ts';

/**
 * `pht-result/v1`: the only form in which numbers leave a station. Every output names its kind after SACRO's statbarns
 * (https://www.w3id.org/statbarnsdc) and carries the numbers its disclosure rule needs. Strict: unknown members are
 * refused.
 */

const OutputId = z.string().regex(/^[a-z][a-z0-9_.]{0,63}$/, 'must be a name of 1 to 64 of a-z 0-9 _ .');
const Count = z.int().min(0).max(1_000_000_000);

/**
 * One axis of a table: the levels of a categorical column, or intervals of a numeric one cut at `breaks` (left-closed;
 * k breaks make k+1 intervals, the outer two open). Every level must stand in the dataset's codebook; breaks must stand
 * in the signed parameters. Both are therefore independent of the data.
 */
export const Dimension = z.union([
  z.strictObject({ var: ColumnName, levels: z.array(z.string().min(1).max(80)).min(1).max(50) }),
  z.strictObject({ var: ColumnName, breaks: z.array(z.number()).min(1).max(50) }),
]);
export type Dimension = z.infer<typeof Dimension>;

/** `n: null` is a suppressed cell. `k` indexes each dimension from 0. */
const Cell = z.strictObject({ k: z.array(z.int().min(0).max(50)).max(3), n: Count.nullable() });

/** Counts. A train emits all cells of the product of its dimensions, in any order; no dimension gives one total. */
export const Frequencies = z.strictObject({
  id: OutputId,
  kind: z.literal('Frequencies'),
  title: ShortText.optional(),
  dims: z.array(Dimension).max(3),
  cells: z.array(Cell).min(1).max(200),
});
export type Frequencies = z.infer<typeof Frequencies>;

/**
 * Mean and standard deviation (n − 1) of one column by group. `evidence` is what the dominance rules need (SACRO's
 * NK and p-percent checks, over absolute values); it is checked and then dropped.
 */
export const Evidence = z.strictObject({
  absSum: z.number().min(0),
  absMax: z.number().min(0),
  absTop2Sum: z.number().min(0),
});
export type Evidence = z.infer<typeof Evidence>;

const Group = z.strictObject({
  k: z.array(z.int().min(0).max(50)).max(3),
  n: Count.nullable(),
  mean: z.number().nullable(),
  sd: z.number().min(0).nullable(),
  evidence: Evidence.optional(),
});
export const LinearAggregations = z.strictObject({
  id: OutputId,
  kind: z.literal('LinearAggregations'),
  title: ShortText.optional(),
  var: ColumnName,
  unit: ShortText.optional(),
  dims: z.array(Dimension).max(3),
  groups: z.array(Group).min(1).max(200),
});
export type LinearAggregations = z.infer<typeof LinearAggregations>;

/**
 * A two-sample log-rank test (Peto and Peto 1972): U = O − E and its hypergeometric variance V in the named arm, never
 * O, E or a risk table. `n` is the patients in the test; null once re-emitted below the threshold, when u and v are
 * null too.
 */
export const StatisticalHypothesisTests = z.strictObject({
  id: OutputId,
  kind: z.literal('StatisticalHypothesisTests'),
  title: ShortText.optional(),
  test: z.literal('log-rank'),
  var: ColumnName,
  arm: z.string().min(1).max(80),
  arms: z.int().min(2).max(2),
  n: Count.nullable(),
  u: z.number().nullable(),
  v: z.number().min(0).nullable(),
});
export type StatisticalHypothesisTests = z.infer<typeof StatisticalHypothesisTests>;

/** A column of which this station has no value at all: said in words instead of a table of zeros. */
export const NotAvailable = z.strictObject({
  id: OutputId,
  kind: z.literal('NotAvailable'),
  var: ColumnName,
});
export type NotAvailable = z.infer<typeof NotAvailable>;

export const Output = z.discriminatedUnion('kind', [
  Frequencies,
  LinearAggregations,
  StatisticalHypothesisTests,
  NotAvailable,
]);
export type Output = z.infer<typeof Output>;

export const PhtResult = z.strictObject({
  schema: z.literal('pht-result/v1'),
  outputs: z.array(Output).min(1).max(100),
});
export type PhtResult = z.infer<typeof PhtResult>;
