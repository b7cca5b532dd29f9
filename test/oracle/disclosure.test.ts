import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DatasetDescription } from '../../src/model/dataset.ts';
import { codebookOf } from '../../src/model/result/codebook.ts';
import { type Screening, screenResult } from '../../src/model/result/screen.ts';
import { type DisclosureSettings, PRESETS, tighten } from '../../src/model/result/settings.ts';
import { determinedCells, type LabelledCell, violationsOf } from './disclosure-oracle.ts';

type Table = { shape: number[]; counts: (number | null)[] };

const NAMES = ['a', 'b', 'c'];
const levelsOf = (dimension: number, length: number): string[] =>
  Array.from({ length }, (_, at) => `${NAMES[dimension]}${at}`);

/** Mostly around the threshold, where rules change their minds. */
const someCount = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 25 }) },
  { weight: 3, arbitrary: fc.integer({ min: 10, max: 200 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 9, 10, null) },
);
const someTable: fc.Arbitrary<Table> = fc
  .array(fc.integer({ min: 1, max: 5 }), { maxLength: 3 })
  .chain((shape) => {
    const size = shape.reduce((product, length) => product * length, 1);
    return fc.record({
      shape: fc.constant(shape),
      counts: fc.array(someCount, { minLength: size, maxLength: size }),
    });
  });
const someTwoWay: fc.Arbitrary<Table> = fc
  .tuple(fc.integer({ min: 2, max: 6 }), fc.integer({ min: 2, max: 6 }))
  .chain(([rows, columns]) => {
    const size = rows * columns;
    return fc.record({
      shape: fc.constant([rows, columns]),
      counts: fc.array(fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 10, max: 99 }) }, someCount), {
        minLength: size,
        maxLength: size,
      }),
    });
  });
const someSettings: fc.Arbitrary<DisclosureSettings> = fc
  .tuple(
    fc.constantFrom(...Object.values(PRESETS)),
    fc.constantFrom(1, 5, 7),
    fc.constantFrom(undefined, 12, 20),
  )
  .map(([preset, roundBase, minCellCount]) => tighten({ ...preset, roundBase }, minCellCount));

/** Coordinates of every cell, the last one fastest. */
function places(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (before, length) => before.flatMap((k) => Array.from({ length }, (_, at) => [...k, at])),
    [[]],
  );
}

function outputOf(id: string, { shape, counts }: Table, dimensions = shape.map((_, d) => d)): object {
  return {
    id,
    kind: 'Frequencies',
    dims: shape.map((length, d) => ({
      var: NAMES[dimensions[d] ?? 0],
      levels: levelsOf(dimensions[d] ?? 0, length),
    })),
    cells: places(shape).map((k, at) => ({ k, n: counts[at] })),
  };
}

function screen(outputs: object[], shape: readonly number[], settings: DisclosureSettings): Screening {
  const columns: DatasetDescription['columns'] = NAMES.map((name, d) => ({
    name,
    type: 'category',
    levels: levelsOf(d, shape[d] ?? 1),
  }));
  const description: DatasetDescription = { id: 'd', title: 'D', files: ['d.csv'], format: 'csv', columns };
  return screenResult(new TextEncoder().encode(JSON.stringify({ schema: 'pht-result/v1', outputs })), {
    settings,
    codebook: codebookOf(description, {}),
    kinds: ['Frequencies'],
    bytesMax: 65_536,
  });
}

function bytesOf(screening: Screening): string {
  if (screening.verdict !== 'release') throw new Error(`not released: ${JSON.stringify(screening)}`);
  return new TextDecoder().decode(screening.bytes);
}

type Released = { dims: { levels: string[] }[]; cells: { k: number[]; n: number | null }[] };
function tablesIn(text: string): LabelledCell[][] {
  const { outputs } = JSON.parse(text) as { outputs: Released[] };
  return outputs.map(({ dims, cells }) =>
    cells.map(({ k, n }) => ({ at: k.map((position, d) => dims[d]?.levels[position] ?? '?'), n })),
  );
}

function exactOf({ shape, counts }: Table): LabelledCell[] {
  return places(shape).map((k, at) => ({
    at: k.map((p, d) => levelsOf(d, shape[d] ?? 1)[p] ?? '?'),
    n: counts[at] ?? null,
  }));
}

describe('what passed the gate', () => {
  it('shows no small cell, no unrounded one, and none that a margin gives away', () => {
    fc.assert(
      fc.property(someTable, someSettings, (table, settings) => {
        const [shown] = tablesIn(bytesOf(screen([outputOf('n', table)], table.shape, settings)));
        const terms = {
          threshold: settings.threshold,
          base: settings.roundBase,
          zeros: settings.zerosDisclosive,
        };
        expect(violationsOf(exactOf(table), shown ?? [], terms)).toEqual([]);
      }),
      { numRuns: 1500 },
    );
  });

  it('leaves no cell of a two-way table to algebra over all its margins', () => {
    fc.assert(
      fc.property(someTwoWay, (table) => {
        const [shown] = tablesIn(bytesOf(screen([outputOf('n', table)], table.shape, PRESETS.sacro)));
        const hidden = (shown ?? []).filter((cell) => cell.n === null);
        expect(determinedCells(hidden.map(({ at }) => [at[0] ?? '', at[1] ?? '']))).toEqual([]);
      }),
      { numRuns: 1500 },
    );
  });

  it('is the same bytes whatever the small cells were', () => {
    const other = fc.infiniteStream(fc.integer({ min: 0, max: 9 }));
    fc.assert(
      fc.property(someTable, other, (table, small) => {
        const changed = table.counts.map((n) => (n === null || n >= 10 ? n : (small.next().value ?? 0)));
        const [before, after] = [table.counts, changed].map((counts) =>
          screen([outputOf('n', { ...table, counts })], table.shape, PRESETS.sacro),
        );
        expect(after).toEqual(before);
      }),
      { numRuns: 1000 },
    );
  });

  it('is the same bytes for 3 and for 7 beside margins that round alike', () => {
    const withSmall = (small: number): string => {
      const counts = [small, 41, 34, 26, 38, 21];
      const rows = [small + 41 + 34, 26 + 38 + 21];
      const outputs = [
        outputOf('n.by.a.b', { shape: [2, 3], counts }),
        outputOf('n.by.a', { shape: [2], counts: rows }),
        outputOf('total', { shape: [], counts: [(rows[0] ?? 0) + (rows[1] ?? 0)] }),
      ];
      return bytesOf(screen(outputs, [2, 3], PRESETS.sacro));
    };
    // Rows 78 and 82 show as 80, totals 163 and 167 as 165.
    expect(withSmall(3)).toBe(withSmall(7));
    expect(withSmall(3)).not.toBe(withSmall(9));
    expect(withSmall(3)).toContain('"n":80');
  });

  it('does not show every part of a cell that a smaller table hides', () => {
    fc.assert(
      fc.property(someTwoWay, (table) => {
        const [rows = 0, columns = 0] = table.shape;
        const counts = table.counts.map((n) => n ?? 0);
        const margin = Array.from({ length: rows }, (_, row) =>
          counts.slice(row * columns, (row + 1) * columns).reduce((sum, n) => sum + n, 0),
        );
        const outputs = [
          outputOf('n.by.a.b', { ...table, counts }),
          outputOf('n.by.a', { shape: [rows], counts: margin }),
        ];
        const [byRow, cells] = tablesIn(bytesOf(screen(outputs, table.shape, PRESETS.sacro)));
        for (const { at, n } of byRow ?? []) {
          const parts = (cells ?? []).filter((cell) => cell.at[0] === at[0]);
          if (n === null) expect(parts.some((cell) => cell.n === null)).toBe(true);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('the oracle itself', () => {
  const cells = (...ns: (number | null)[]): LabelledCell[] => ns.map((n, at) => ({ at: [`a${at}`], n }));
  const terms = { threshold: 10, base: 5, zeros: true };

  it('finds each kind of violation', () => {
    expect(violationsOf(cells(20, 30), cells(20, 30), terms)).toEqual([]);
    expect(violationsOf(cells(3, 30), cells(5, 30), terms).join()).toContain('small and shows');
    expect(violationsOf(cells(22, 30), cells(22, 30), terms).join()).toContain('not rounded');
    expect(violationsOf(cells(22, 30), cells(25, 30), terms).join()).toContain('not its rounded count');
    expect(violationsOf(cells(3, 30), cells(null, 30), terms).join()).toContain('exactly one hidden');
    expect(violationsOf(cells(3, 4, 30), cells(null, null, 30), terms).join()).toContain('small as a whole');
    expect(
      determinedCells([
        ['r0', 'c0'],
        ['r0', 'c1'],
        ['r1', 'c1'],
      ]),
    ).toHaveLength(3);
    expect(
      determinedCells([
        ['r0', 'c0'],
        ['r0', 'c1'],
        ['r1', 'c1'],
        ['r1', 'c0'],
      ]),
    ).toEqual([]);
  });
});
