import type { Answer } from '../model/answer.ts';
import type { Dimension, Output, PhtResult } from '../model/result/schema.ts';
import { table, wrap } from './text.ts';

/** Answers and single stations' results for people, within 80 columns. */

type Cell = string | number | boolean | null;

export function answerLines(answer: Answer): string[] {
  const sections = answer.sections.flatMap(({ heading, lines = [], table: grid }) => [
    '',
    heading,
    ...lines.flatMap((line) => wrap(line, 2)),
    ...(grid === undefined ? [] : tableLines(grid.columns, grid.rows)),
  ]);
  return [...wrap(answer.title), ...sections];
}

export function resultLines(result: PhtResult): string[] {
  return result.outputs.flatMap((output) => ['', ...outputLines(output)]);
}

const INDENT = 2;

function tableLines(columns: readonly string[], rows: readonly (readonly Cell[])[]): string[] {
  const text = rows.map((row) => row.map((cell) => (cell === null ? '-' : String(cell))));
  return table(columns, text, 80 - INDENT).map((line) => ' '.repeat(INDENT) + line);
}

const SUPPRESSED = 'suppressed';

function outputLines(output: Output): string[] {
  const heading =
    'title' in output && output.title !== undefined ? `${output.id}: ${output.title}` : output.id;
  switch (output.kind) {
    case 'NotAvailable':
      return [`${output.id}: ${output.var} is not available there`];
    case 'Frequencies':
      return [
        heading,
        ...cellTable(
          output.dims,
          ['n'],
          output.cells.map(({ k, n }) => ({ k, values: [n] })),
        ),
      ];
    case 'LinearAggregations': {
      const unit = output.unit === undefined ? '' : ` (${output.unit})`;
      const rows = output.groups.map(({ k, n, mean, sd }) => ({ k, values: [n, mean, sd] }));
      return [`${heading}: ${output.var}${unit}`, ...cellTable(output.dims, ['n', 'mean', 'sd'], rows)];
    }
    case 'StatisticalHypothesisTests': {
      const { test, arm, arms, n, u, v } = output;
      const row = [test, output.var, arm, arms, n ?? SUPPRESSED, u ?? SUPPRESSED, v ?? SUPPRESSED];
      return [heading, ...tableLines(['test', 'of', 'arm', 'arms', 'n', 'U = O - E', 'V'], [row])];
    }
  }
}

function cellTable(
  dims: readonly Dimension[],
  names: readonly string[],
  rows: readonly { k: readonly number[]; values: readonly (number | null)[] }[],
): string[] {
  const cells = rows.map(({ k, values }) => [
    ...dims.map((dim, at) => labelOf(dim, k[at] ?? 0)),
    ...values.map((value) => value ?? SUPPRESSED),
  ]);
  return tableLines([...dims.map((dim) => dim.var), ...names], cells);
}

/** k breaks make k + 1 intervals, left-closed, the outer two open. */
function labelOf(dim: Dimension, at: number): string {
  if ('levels' in dim) return dim.levels[at] ?? `level ${at}`;
  const low = dim.breaks[at - 1];
  const high = dim.breaks[at];
  if (low === undefined) return `< ${high}`;
  return high === undefined ? `>= ${low}` : `${low} to < ${high}`;
}
