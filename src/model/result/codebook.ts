import type { Column, DatasetDescription } from '../dataset.ts';
import type { Manifest } from '../train.ts';
import type { Dimension } from './schema.ts';

/** Every label that may leave: the dataset's public description and the researcher's signed parameters. */
export type Codebook = {
  readonly columns: ReadonlyMap<string, Column>;
  /** Arrays of numbers in the signed parameters: the only cuts of a numeric column. */
  readonly allowedBreaks: readonly (readonly number[])[];
  /** Arrays of strings in the signed parameters: a choice among levels that the data did not make. */
  readonly allowedLevels: readonly (readonly string[])[];
  /** Names and strings of the signed parameters. */
  readonly words: ReadonlySet<string>;
};

export function codebookOf(description: DatasetDescription, parameters: Manifest['parameters']): Codebook {
  const allowedBreaks: number[][] = [];
  const allowedLevels: string[][] = [];
  const words = new Set<string>();
  const scalars: string[] = [];
  const visit = (value: Manifest['parameters'][string]): void => {
    if (Array.isArray(value)) {
      const strings = value.filter((item) => typeof item === 'string');
      const numbers = value.filter((item) => typeof item === 'number');
      if (numbers.length > 0 && strings.length === 0) allowedBreaks.push(numbers);
      if (strings.length > 0 && numbers.length === 0) allowedLevels.push(strings);
      for (const text of strings) words.add(text);
    } else if (typeof value === 'string') {
      scalars.push(value);
      words.add(value);
    } else if (typeof value === 'object') {
      for (const [name, member] of Object.entries(value)) {
        words.add(name);
        visit(member);
      }
    }
  };
  for (const [name, value] of Object.entries(parameters)) {
    words.add(name);
    visit(value);
  }
  // `treatment: A, control: B` names two levels in two parameters.
  if (scalars.length > 0) allowedLevels.push(scalars);
  const columns = new Map(description.columns.map((column) => [column.name, column]));
  return { columns, allowedBreaks, allowedLevels, words };
}

/** The axes as the codebook writes them, and for each axis where the train's positions went. */
export type Axes = { readonly dims: Dimension[]; readonly moved: number[][] };

/** Axes in the codebook's own order of levels, or why a person must look. */
export function readAxes(dims: readonly Dimension[], codebook: Codebook): Axes | { hold: string[] } {
  const axes: Axes = { dims: [], moved: [] };
  if (new Set(dims.map((dim) => dim.var)).size !== dims.length)
    return { hold: ['a table uses one column twice'] };
  for (const dim of dims) {
    const column = codebook.columns.get(dim.var);
    if (column === undefined) return { hold: ['a table uses a column that the dataset does not describe'] };
    const axis =
      'levels' in dim ? readLevels(dim.levels, column, codebook) : readBreaks(dim.breaks, column, codebook);
    if ('hold' in axis) return axis;
    axes.dims.push(axis.dim);
    axes.moved.push(axis.moved);
  }
  return axes;
}

type Axis = { dim: Dimension; moved: number[] } | { hold: string[] };

function readLevels(given: readonly string[], column: Column, codebook: Codebook): Axis {
  const known = column.levels ?? [];
  const chosen = new Set(given);
  if (chosen.size !== given.length) return { hold: ['a table lists one level twice'] };
  if (!given.every((level) => known.includes(level)))
    return { hold: ['a table has a level outside the codebook'] };
  const levels = known.filter((level) => chosen.has(level));
  if (levels.length < known.length && !isSignedChoice(chosen, known, codebook)) {
    return { hold: ['a table leaves out levels that the parameters do not choose among'] };
  }
  return { dim: { var: column.name, levels }, moved: given.map((level) => levels.indexOf(level)) };
}

/** Left-out levels would otherwise tell which levels are empty. */
function isSignedChoice(chosen: ReadonlySet<string>, known: readonly string[], codebook: Codebook): boolean {
  return codebook.allowedLevels.some((choice) => {
    const named = new Set(choice.filter((level) => known.includes(level)));
    return named.size === chosen.size && [...named].every((level) => chosen.has(level));
  });
}

function readBreaks(breaks: readonly number[], column: Column, codebook: Codebook): Axis {
  if (!isNumeric(column)) return { hold: ['a table cuts a column that is not numeric'] };
  const ascending = breaks.every((at, index) => index === 0 || at > (breaks[index - 1] ?? at));
  if (!ascending) return { hold: ['the breaks of a table do not ascend'] };
  const signed = codebook.allowedBreaks.find(
    (choice) => choice.length === breaks.length && choice.every((at, index) => at === breaks[index]),
  );
  if (signed === undefined) return { hold: ['a table has breaks that are not in the signed parameters'] };
  const moved = Array.from({ length: breaks.length + 1 }, (_, index) => index);
  return { dim: { var: column.name, breaks: [...signed] }, moved };
}

export function isNumeric(column: Column): boolean {
  return column.type === 'integer' || column.type === 'number';
}
