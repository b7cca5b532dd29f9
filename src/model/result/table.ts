import type { Axes } from './codebook.ts';
import type { Dimension } from './schema.ts';

/** Tables in row-major order: the last dimension varies fastest. */

export function shapeOf(dims: readonly Dimension[]): number[] {
  return dims.map((dim) => ('levels' in dim ? dim.levels.length : dim.breaks.length + 1));
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

export function positionOf(at: number, shape: readonly number[]): number[] {
  const k: number[] = [];
  let rest = at;
  for (const length of shape.toReversed()) {
    k.unshift(rest % length);
    rest = Math.floor(rest / length);
  }
  return k;
}

/** The cells in canonical order, or nothing unless each cell of the product stands there exactly once. */
export function arrange<C extends { k: number[] }>(cells: readonly C[], axes: Axes): C[] | undefined {
  const shape = shapeOf(axes.dims);
  const size = sizeOf(shape);
  // Before allocating: 51 × 51 × 51 fits the schema of the dimensions.
  if (cells.length !== size) return undefined;
  const arranged = new Map<number, C>();
  for (const cell of cells) {
    if (cell.k.length !== shape.length) return undefined;
    let at = 0;
    for (const [dimension, length] of shape.entries()) {
      const moved = axes.moved[dimension]?.[cell.k[dimension] ?? -1];
      if (moved === undefined) return undefined;
      at = at * length + moved;
    }
    if (arranged.has(at)) return undefined;
    arranged.set(at, { ...cell, k: positionOf(at, shape) });
  }
  return Array.from({ length: size }, (_, at) => arranged.get(at)).filter((cell) => cell !== undefined);
}

/**
 * Every set of cells whose sum could be known from a margin: the lines along each dimension, and the whole table.
 * A dimension of one level is no dimension.
 */
export function linesOf(shape: readonly number[]): number[][] {
  const size = sizeOf(shape);
  const lines: number[][] = [];
  let stride = size;
  for (const length of shape) {
    stride /= length;
    if (length === 1) continue;
    for (let at = 0; at < size; at++) {
      if (Math.floor(at / stride) % length !== 0) continue;
      lines.push(Array.from({ length }, (_, step) => at + step * stride));
    }
  }
  if (size > 1 && lines.length > 1) lines.push(Array.from({ length: size }, (_, at) => at));
  return lines;
}

/** A hidden cell by its labels, so that tables of other dimensions can be held against it. */
export type HiddenCell = ReadonlyMap<string, string>;

export function labelsOf(dims: readonly Dimension[], k: readonly number[]): HiddenCell {
  return new Map(
    dims.map((dim, at) => {
      const position = k[at] ?? 0;
      return [dim.var, 'levels' in dim ? (dim.levels[position] ?? '') : `#${position}`];
    }),
  );
}

/**
 * For each hidden cell of another table over some of these dimensions: the cells here that add up to it. If all of
 * them showed, so would it.
 */
export function slabsOf(dims: readonly Dimension[], hidden: readonly HiddenCell[]): number[][] {
  const shape = shapeOf(dims);
  const vars = new Set(dims.map((dim) => dim.var));
  const labels = Array.from({ length: sizeOf(shape) }, (_, at) => labelsOf(dims, positionOf(at, shape)));
  return hidden
    .filter((cell) => [...cell.keys()].every((name) => vars.has(name)))
    .map((cell) => labels.flatMap((here, at) => ([...cell].every(([v, l]) => here.get(v) === l) ? [at] : [])))
    .filter((slab) => slab.length > 0);
}
