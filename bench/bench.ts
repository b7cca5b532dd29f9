import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Figure, Measured } from './figure.ts';

/** `npm run --silent bench -- [--json] [figure ...]`: each figure beside what it is held against, in one run. */

const FOLDER = new URL('figures/', import.meta.url);
const DIGITS = 4;

type Row = {
  value: number;
  unit: string;
  goal: number | null;
  better: 'lower' | 'higher';
  floor: number | null;
  floorName: string;
  min: number;
  max: number;
  samples: number;
};

const known = readdirSync(fileURLToPath(FOLDER))
  .map((name) => name.replace(/[.]ts$/, ''))
  .sort();

function asked(args: readonly string[]): string[] {
  const names = args.filter((arg) => arg !== '--json');
  const strange = names.find((name) => !known.includes(name));
  if (strange !== undefined)
    throw new TypeError(`no figure is called ${strange}; there are: ${known.join(', ')}`);
  return names.length === 0 ? known : [...new Set(names)];
}

async function measure(name: string): Promise<Row> {
  const { figure } = (await import(new URL(`${name}.ts`, FOLDER).href)) as { figure: Figure };
  const say = (line: string): void => void process.stderr.write(`bench: ${name}: ${line}\n`);
  const measured = await figure.measure(say);
  return rowOf(figure, measured);
}

function rowOf({ unit, goal, better }: Figure, { value, samples, floor, floorName }: Measured): Row {
  return {
    value: rounded(value),
    unit,
    goal,
    better: better ?? 'lower',
    floor: floor === null ? null : rounded(floor),
    floorName,
    min: rounded(Math.min(...samples)),
    max: rounded(Math.max(...samples)),
    samples: samples.length,
  };
}

const rounded = (value: number): number => Number(value.toPrecision(DIGITS));

function goalText({ value, better }: Row, goal: number): string {
  const met = better === 'higher' ? value >= goal : value <= goal;
  return `at ${better === 'higher' ? 'least' : 'most'} ${goal}: ${met ? 'met' : 'NOT MET'}`;
}

function printTable(rows: readonly (readonly [string, Row])[]): void {
  for (const [name, row] of rows) {
    const goal = row.goal === null ? '' : `, goal ${goalText(row, row.goal)}`;
    process.stdout.write(`${name}: ${row.value} ${row.unit}${goal}\n`);
    const floor = row.floor === null ? '' : `; floor ${row.floor} (${row.floorName})`;
    process.stdout.write(`  ${row.min} to ${row.max} in ${row.samples} samples${floor}\n`);
  }
}

try {
  const args = process.argv.slice(2);
  const rows: [string, Row][] = [];
  for (const name of asked(args)) rows.push([name, await measure(name)]);
  if (args.includes('--json')) process.stdout.write(`${JSON.stringify(Object.fromEntries(rows))}\n`);
  else printTable(rows);
} catch (thrown) {
  process.stderr.write(`bench: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exitCode = thrown instanceof TypeError ? 2 : 1;
}
