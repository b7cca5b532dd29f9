/** Small enough that products stay exact; coefficients are 0 and 1, so a wrong zero is out of the question in practice. */
const PRIME = 32_749;

/**
 * The hidden cells that somebody who knows the sum of every line, and every shown cell, can compute exactly: those
 * whose unit vector lies in the row space of the lines over the hidden cells (reduced row echelon form, modulo a prime).
 */
export function derivableCells(hidden: readonly boolean[], lines: readonly (readonly number[])[]): number[] {
  const unknowns = hidden.flatMap((isHidden, at) => (isHidden ? [at] : []));
  const columnOf = new Map(unknowns.map((at, column) => [at, column]));
  const rows = lines
    .map((line) => line.flatMap((at) => columnOf.get(at) ?? []))
    .filter((columns) => columns.length > 0)
    .map((columns) => {
      const row = new Int32Array(unknowns.length);
      for (const column of columns) row[column] = 1;
      return row;
    });
  reduce(rows, unknowns.length);
  const found = rows.flatMap((row) => {
    const first = row.findIndex((value) => value !== 0);
    return first >= 0 && row.findLastIndex((value) => value !== 0) === first ? [first] : [];
  });
  return found.flatMap((column) => unknowns[column] ?? []).sort((a, b) => a - b);
}

function reduce(rows: Int32Array[], width: number): void {
  let rank = 0;
  for (let column = 0; column < width && rank < rows.length; column++) {
    const at = rows.findIndex((row, index) => index >= rank && row[column] !== 0);
    const pivot = rows[at];
    const displaced = rows[rank];
    if (pivot === undefined || displaced === undefined) continue;
    rows[at] = displaced;
    rows[rank] = pivot;
    const inverse = inverseOf(pivot[column] ?? 1);
    for (let i = 0; i < width; i++) pivot[i] = ((pivot[i] ?? 0) * inverse) % PRIME;
    for (const row of rows) {
      const factor = row === pivot ? 0 : (row[column] ?? 0);
      if (factor === 0) continue;
      for (let i = column; i < width; i++)
        row[i] = ((row[i] ?? 0) + (PRIME - factor) * (pivot[i] ?? 0)) % PRIME;
    }
    rank++;
  }
}

/** Fermat: a^(p-2). */
function inverseOf(value: number): number {
  let result = 1;
  let base = value % PRIME;
  for (let exponent = PRIME - 2; exponent > 0; exponent = Math.floor(exponent / 2)) {
    if (exponent % 2 === 1) result = (result * base) % PRIME;
    base = (base * base) % PRIME;
  }
  return result;
}
