import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DatasetDescription } from '../dataset.ts';
import { codebookOf } from './codebook.ts';
import type { Output } from './schema.ts';
import { type Screening, type ScreeningTerms, screenResult } from './screen.ts';
import { PRESETS } from './settings.ts';

const DATASET: DatasetDescription = {
  id: 'cgd',
  title: 'Chronic granulomatous disease',
  files: ['cgd.csv'],
  format: 'csv',
  columns: [
    { name: 'treat', title: 'Treatment', type: 'category', levels: ['placebo', 'rIFN-g'] },
    { name: 'site', type: 'category', levels: ['a', 'b', 'c'] },
    { name: 'age', title: 'Age', type: 'integer', unit: 'years' },
    { name: 'tstop', type: 'integer', unit: 'days' },
    { name: 'note', type: 'text' },
  ],
};
const PARAMETERS = {
  means: ['age'],
  histograms: { age: [10, 20] },
  wide: [10, 30],
  chosen: ['a', 'c'],
  word: 'cohort',
};
const TERMS: ScreeningTerms = {
  settings: PRESETS.sacro,
  codebook: codebookOf(DATASET, PARAMETERS),
  kinds: ['Frequencies', 'LinearAggregations', 'StatisticalHypothesisTests'],
  bytesMax: 65_536,
};
const TREAT = { var: 'treat', levels: ['placebo', 'rIFN-g'] };

const rawOf = (...outputs: unknown[]): Uint8Array =>
  new TextEncoder().encode(JSON.stringify({ schema: 'pht-result/v1', outputs }));
const screen = (outputs: unknown[], terms: Partial<ScreeningTerms> = {}): Screening =>
  screenResult(rawOf(...outputs), { ...TERMS, ...terms });

function released(outputs: unknown[], terms: Partial<ScreeningTerms> = {}): Output[] {
  const screening = screen(outputs, terms);
  if (screening.verdict !== 'release') throw new Error(`was not released: ${JSON.stringify(screening)}`);
  expect(JSON.parse(new TextDecoder().decode(screening.bytes))).toEqual(screening.result);
  return screening.result.outputs;
}
function held(outputs: unknown[], terms: Partial<ScreeningTerms> = {}): string {
  const screening = screen(outputs, terms);
  if (screening.verdict !== 'hold') throw new Error(`was not held: ${JSON.stringify(screening)}`);
  return screening.reasons.join('; ');
}

const count = (n: number | null, more: object = {}): object => ({
  id: 'n',
  kind: 'Frequencies',
  dims: [],
  cells: [{ k: [], n }],
  ...more,
});
const byTreat = (ns: (number | null)[], more: object = {}): object =>
  count(0, { id: 'patients', dims: [TREAT], cells: ns.map((n, at) => ({ k: [at], n })), ...more });
const EVIDENCE = { absSum: 800, absMax: 60, absTop2Sum: 110 };
const GROUP = { k: [], n: 43, mean: 18.60465, sd: 9.123456, evidence: EVIDENCE };
const mean = (group: object = {}, more: object = {}): object => ({
  id: 'mean.age',
  kind: 'LinearAggregations',
  var: 'age',
  unit: 'years',
  dims: [],
  groups: [{ ...GROUP, ...group }],
  ...more,
});
const test = (more: object = {}): object => ({
  id: 'log_rank',
  kind: 'StatisticalHypothesisTests',
  test: 'log-rank',
  var: 'treat',
  arm: 'rIFN-g',
  arms: 2,
  n: 63,
  u: -5.123456,
  v: 4.987654,
  ...more,
});

describe('counts', () => {
  it('are rounded after the decision', () => {
    expect(released([byTreat([12, 33])])[0]).toMatchObject({ cells: [{ n: 10 }, { n: 35 }] });
    expect(released([byTreat([9, 33])])[0]).toMatchObject({ cells: [{ n: null }, { n: null }] });
    expect(released([count(9)])[0]).toMatchObject({ cells: [{ n: null }] });
  });

  it.each([
    ['a missing cell', byTreat([20])],
    [
      'a cell twice',
      byTreat([20, 30], {
        cells: [
          { k: [0], n: 20 },
          { k: [0], n: 30 },
        ],
      }),
    ],
    [
      'a cell outside',
      byTreat([20, 30], {
        cells: [
          { k: [0], n: 20 },
          { k: [2], n: 30 },
        ],
      }),
    ],
    [
      'a cell of another table',
      byTreat([20, 30], {
        cells: [
          { k: [0], n: 20 },
          { k: [], n: 30 },
        ],
      }),
    ],
  ])('with %s are held', (_name, output) => {
    expect(held([output])).toContain('every cell of its dimensions exactly once');
  });

  it.each([
    [
      'an unknown level',
      { var: 'treat', levels: ['placebo', 'Smith, John'] },
      'a level outside the codebook',
    ],
    ['an unknown column', { var: 'smith', levels: ['placebo', 'rIFN-g'] }, 'does not describe'],
    ['levels left out', { var: 'site', levels: ['a', 'b'] }, 'leaves out levels'],
    ['a level twice', { var: 'treat', levels: ['placebo', 'placebo'] }, 'one level twice'],
    ['unsigned breaks', { var: 'age', breaks: [47] }, 'not in the signed parameters'],
    ['breaks of a category', { var: 'treat', breaks: [10, 20] }, 'not numeric'],
    ['falling breaks', { var: 'age', breaks: [20, 10] }, 'do not ascend'],
  ])('by %s are held, without saying which', (_name, dim, why) => {
    const reasons = held([byTreat([20, 30], { dims: [dim] })]);
    expect(reasons).toContain(why);
    expect(reasons).not.toMatch(/smith|47|20/i);
  });

  it('by signed breaks and by levels that the parameters choose are released', () => {
    const cells = [20, 30, 40].map((n, at) => ({ k: [at], n }));
    expect(released([count(0, { dims: [{ var: 'age', breaks: [10, 20] }], cells })])).toHaveLength(1);
    const chosen = { dims: [{ var: 'site', levels: ['c', 'a'] }], cells: cells.slice(0, 2) };
    expect(released([count(0, chosen)])[0]).toMatchObject({
      dims: [{ levels: ['a', 'c'] }],
      cells: [
        { k: [0], n: 30 },
        { k: [1], n: 20 },
      ],
    });
  });

  it('of one column against itself are held', () => {
    const cells = [0, 1, 2, 3].map((at) => ({ k: [Math.floor(at / 2), at % 2], n: 20 }));
    expect(held([count(0, { dims: [TREAT, TREAT], cells })])).toContain('one column twice');
  });

  it('of one column cut in two ways, or of one table twice, are held', () => {
    const cut = (id: string, breaks: number[], more: object = {}): object =>
      count(0, {
        id,
        dims: [{ var: 'age', breaks }],
        cells: [20, 30, 40].map((n, at) => ({ k: [at], n })),
        ...more,
      });
    expect(held([cut('n', [10, 20]), cut('total', [10, 30])])).toContain('cut in two ways');
    expect(held([byTreat([20, 30]), byTreat([18, 30], { id: 'events' })])).toContain('same columns');
    expect(held([byTreat([20, 30]), count(50, { id: 'patients' })])).toContain('one id');
  });

  it('hidden in one table are not the sum of another', () => {
    const sites = { var: 'site', levels: ['a', 'b', 'c'] };
    const margin = count(0, {
      id: 'count.site',
      dims: [sites],
      cells: [3, 40, 90].map((n, at) => ({ k: [at], n })),
    });
    const cells = [1, 2, 20, 20, 45, 45].map((n, at) => ({ k: [Math.floor(at / 2), at % 2], n }));
    const [coarse, fine] = released([
      count(0, { id: 'n.by.site.treat', dims: [sites, TREAT], cells }),
      margin,
    ]);
    expect(coarse).toMatchObject({ cells: [{ n: null }, { n: null }, { n: 90 }] });
    expect(fine).toMatchObject({
      cells: [{ n: null }, { n: null }, { n: null }, { n: null }, { n: 45 }, { n: 45 }],
    });
  });
});

describe('means', () => {
  it('are rounded and lose their evidence', () => {
    expect(released([mean()])).toEqual([
      {
        id: 'mean.age',
        kind: 'LinearAggregations',
        var: 'age',
        unit: 'years',
        dims: [],
        groups: [{ k: [], n: 45, mean: 18.6, sd: 9.123 }],
      },
    ]);
  });

  const NOTHING = [{ k: [], n: null, mean: null, sd: null }];
  it.each([
    ['few patients', { n: 9 }],
    ['two that dominate', { evidence: { absSum: 801, absMax: 400, absTop2Sum: 750 } }],
    [
      'a remainder below p percent of the largest',
      { evidence: { absSum: 802, absMax: 800, absTop2Sum: 801 } },
    ],
    ['one value for all', { mean: 20, sd: 0, evidence: { absSum: 860, absMax: 20, absTop2Sum: 40 } }],
  ])('with %s are suppressed', (_name, group) => {
    expect(released([mean(group)])[0]).toMatchObject({ groups: NOTHING });
  });

  it('obey the p-percent rule where the NK rule is content', () => {
    const settings = { ...PRESETS.sacro, nkPercent: 90, pPercent: 50 };
    const evidence = { absSum: 840, absMax: 600, absTop2Sum: 610 };
    expect(released([mean({ evidence })], { settings })[0]).toMatchObject({ groups: NOTHING });
    expect(released([mean({ evidence })])[0]).toMatchObject({ groups: [{ n: 45 }] });
  });

  it('come without a standard deviation of too few degrees of freedom', () => {
    const small = { n: 10, mean: 30, sd: 5, evidence: { absSum: 300, absMax: 60, absTop2Sum: 110 } };
    expect(released([mean(small)])[0]).toMatchObject({ groups: [{ n: 10, mean: 30, sd: null }] });
  });

  it.each([
    ['no evidence', mean({ evidence: undefined }), 'without the evidence'],
    [
      'evidence that contradicts itself',
      mean({ evidence: { ...EVIDENCE, absSum: 100 } }),
      'contradicts itself',
    ],
    ['a mean beyond its evidence', mean({ mean: 61 }), 'contradicts itself'],
    ['another unit', mean({}, { unit: 'kg' }), 'another unit'],
    ['a column that is not numeric', mean({}, { var: 'treat' }), 'numeric'],
  ])('with %s are held', (_name, output, why) => {
    expect(held([output])).toContain(why);
  });

  it('of a group hidden in the counts are hidden too', () => {
    const groups = [0, 1].map((at) => ({ ...GROUP, k: [at] }));
    const means = mean({}, { dims: [TREAT], groups });
    expect(released([byTreat([50, 50]), means])[1]).toMatchObject({ groups: [{ n: 45 }, { n: 45 }] });
    expect(released([byTreat([9, 50]), means])[1]).toMatchObject({
      groups: [{ n: null }, { n: null, mean: null }],
    });
  });

  it('hidden for a group are not the sum of its parts', () => {
    const sites = { var: 'site', levels: ['a', 'b', 'c'] };
    const groupsOf = (ns: number[], k: (at: number) => number[]): object[] =>
      ns.map((n, at) => ({ ...GROUP, n, mean: 1, k: k(at) }));
    const coarse = { dims: [sites], groups: groupsOf([8, 20, 41], (at) => [at]) };
    const fine = {
      id: 'mean.by',
      dims: [sites, TREAT],
      groups: groupsOf([20, 20, 20, 20, 20, 20], (at) => [Math.floor(at / 2), at % 2]),
    };
    const [margin, parts] = released([mean({}, coarse), mean({}, fine)]);
    expect(margin).toMatchObject({ groups: [{ n: null }, { n: null }, { n: 40 }] });
    expect(parts).toMatchObject({ groups: [...Array(4).fill({ n: null }), { n: 20 }, { n: 20 }] });
  });

  it('of a small group are not the difference of the others', () => {
    const groups = [{ ...GROUP, n: 8 }, GROUP].map((group, at) => ({ ...group, k: [at] }));
    expect(released([mean({}, { dims: [TREAT], groups })])[0]).toMatchObject({
      groups: [{ mean: null }, { mean: null, n: null, sd: null }],
    });
  });
});

describe('tests', () => {
  it('are rounded', () => {
    expect(released([test()])[0]).toMatchObject({ n: 65, u: -5.123, v: 4.988 });
    expect(Object.is((released([test({ u: -0 })])[0] as { u: number }).u, 0)).toBe(true);
  });

  it.each([{ n: 11 }, { n: 9, u: 1, v: 1 }, { v: 0 }, { n: null }, { u: null }])(
    'with %j are suppressed',
    (change) => {
      expect(released([test(change)])[0]).toMatchObject({ n: null, u: null, v: null });
    },
  );

  it('need the threshold too where it is the stricter rule', () => {
    const settings = { ...PRESETS.sacro, threshold: 20 };
    expect(released([test({ n: 19, v: 2 })], { settings })[0]).toMatchObject({ n: null, u: null, v: null });
    expect(released([test({ n: 20, v: 2 })], { settings })[0]).toMatchObject({ n: 20, v: 2 });
  });

  it('need the degrees of freedom and no more', () => {
    expect(released([test({ n: 12, v: 2.5 })])[0]).toMatchObject({ n: 10, v: 2.5 });
  });

  it('on too few events are held where the station says so', () => {
    expect(held([test({ v: 4.9 })], { settings: { ...PRESETS.sacro, minEventsFromV: 20 } })).toContain(
      'too few events',
    );
    expect(released([test({ v: 5 })], { settings: { ...PRESETS.sacro, minEventsFromV: 20 } })).toHaveLength(
      1,
    );
  });

  it('that no log-rank gives, or of an unknown arm, are held', () => {
    expect(held([test({ u: 64 })])).toContain('no log-rank');
    expect(held([test({ v: 16 })])).toContain('no log-rank');
    expect(held([test({ arm: 'a' })])).toContain('arm');
  });
});

describe('the whole result', () => {
  it('says that a column is not available', () => {
    const absent = { id: 'mean.age', kind: 'NotAvailable', var: 'age' };
    expect(released([absent, { ...absent, id: 'histogram.age' }], { kinds: [] })).toHaveLength(2);
    expect(held([{ ...absent, var: 'smith' }])).toContain('does not describe');
  });

  it('withholds a kind that the manifest does not name and what is no result', () => {
    expect(screen([count(50)], { kinds: ['LinearAggregations'] })).toMatchObject({ verdict: 'withhold' });
    expect(screen([], {})).toMatchObject({ verdict: 'withhold', code: 'disclosure.withheld' });
    expect(held([{ id: 'm', kind: 'Endpoints' }])).toContain('no rule covers');
  });

  it('carries nothing in order, names, titles or spelling', () => {
    const plain = [byTreat([20, 30]), mean(), test()];
    const moved = [
      test({ title: 'SMITH' }),
      mean({}, { unit: undefined, title: 'x' }),
      byTreat([20, 30], {
        dims: [{ var: 'treat', levels: ['rIFN-g', 'placebo'] }],
        cells: [
          { n: 20, k: [1] },
          { n: 30, k: [0] },
        ],
        title: '4711',
      }),
    ];
    const [a, b] = [screen(plain), screen(moved)];
    expect(a.verdict).toBe('release');
    expect(b).toMatchObject({ bytes: a.verdict === 'release' ? a.bytes : null });
  });

  it.each([
    ['patients', 'patients'],
    ['count.treat', 'count.treat'],
    ['n_by_treat.cohort', 'n_by_treat.cohort'],
    ['smith_has_it', 'o1'],
    ['count.tstop', 'o1'],
    ['n.n.n.n.n.n', 'n.n.n.n.n.n'],
    ['n.n.n.n.n.n.n', 'o1'],
    ['o7', 'o1'],
    ['count.', 'o1'],
  ])('re-emits the id %s as %s', (id, expected) => {
    expect(released([byTreat([20, 30], { id })])[0]?.id).toBe(expected);
  });

  it('keeps a title that the dataset gives', () => {
    expect(released([byTreat([20, 30], { title: 'Treatment' })])[0]).toHaveProperty('title', 'Treatment');
    expect(released([byTreat([20, 30], { title: 'Age' })])[0]).not.toHaveProperty('title');
  });

  it('is held above the number of outputs or the capacity', () => {
    expect(held([count(50), byTreat([20, 30])], { settings: { ...PRESETS.sacro, outputsMax: 1 } })).toContain(
      'outputs',
    );
    expect(held([mean()], { settings: { ...PRESETS.sacro, bitsMax: 64 } })).toContain('hide more');
    const [one, two] = [[count(50)], [count(50), mean()]].map((outputs) => screen(outputs));
    const bits = (screening: Screening | undefined): number =>
      screening?.verdict === 'release' ? screening.capacityBits : Number.NaN;
    expect(bits(two)).toBeGreaterThan(bits(one));
    expect(bits(one)).toBeGreaterThan(27);
  });

  it.each([1.7976e308, -1.7976e308])('releases %d, which rounds to more than a double holds', (extreme) => {
    const bound = Math.sign(extreme) * Number.MAX_VALUE;
    expect(released([mean({ mean: extreme })])[0]).toMatchObject({ groups: [{ mean: bound }] });
  });

  it('answers anything that a train may write with a verdict', () => {
    const numberish = fc.oneof(fc.integer({ min: -5, max: 80 }), fc.double(), fc.constant(null));
    const group = fc.record({
      k: fc.array(fc.nat(3), { maxLength: 3 }),
      n: numberish,
      mean: numberish,
      sd: numberish,
    });
    const output = fc.oneof(
      fc.array(numberish, { maxLength: 4 }).map((ns) => byTreat(ns as number[])),
      group.map((g) => mean({ ...g, evidence: EVIDENCE })),
      fc.record({ n: numberish, u: numberish, v: numberish }).map(test),
      fc.object(),
    );
    fc.assert(
      fc.property(fc.array(output, { minLength: 1, maxLength: 3 }), (outputs) => {
        expect(['release', 'hold', 'withhold']).toContain(screen(outputs).verdict);
      }),
      { numRuns: 1000 },
    );
  });
});
