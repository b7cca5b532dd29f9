/**
 * An independent reading of the disclosure rules for counts, by plain enumeration over released JSON. It shares no code
 * with the gate and knows a table as a list of cells with labels.
 */
export type LabelledCell = { readonly at: readonly string[]; readonly n: number | null };

/** Everything about a released table that breaks a rule, given the exact counts behind it. */
export function violationsOf(
  exact: readonly LabelledCell[],
  shown: readonly LabelledCell[],
  terms: { threshold: number; base: number; zeros: boolean },
): string[] {
  const found: string[] = [];
  const shownBy = new Map(shown.map((cell) => [cell.at.join('|'), cell.n]));
  if (shownBy.size !== exact.length || shown.length !== exact.length) found.push('not the same cells');
  for (const cell of exact) {
    const key = cell.at.join('|');
    const n = shownBy.get(key);
    if (n === undefined) found.push(`cell ${key} is missing`);
    if (n === undefined || n === null) continue;
    const isSafeZero = cell.n === 0 && !terms.zeros;
    if (cell.n === null) found.push(`cell ${key} was null`);
    else if (cell.n < terms.threshold && !isSafeZero) found.push(`cell ${key} is small and shows`);
    else if (Math.abs(n - cell.n) * 2 > terms.base) found.push(`cell ${key} is not its rounded count`);
    if (n % terms.base !== 0) found.push(`cell ${key} is not rounded`);
  }
  for (const line of marginsOf(exact)) found.push(...violationsOfLine(line, shownBy, terms));
  return found;
}

function violationsOfLine(
  line: readonly LabelledCell[],
  shownBy: ReadonlyMap<string, number | null>,
  terms: { threshold: number },
): string[] {
  if (line.length < 2) return [];
  const isShown = (cell: LabelledCell): boolean => shownBy.get(cell.at.join('|')) !== null;
  const hidden = line.filter((cell) => !isShown(cell));
  const name = line.map((cell) => cell.at.join('|')).join(' ');
  const found: string[] = [];
  if (hidden.length === 1) found.push(`line ${name} has exactly one hidden cell`);
  const sum = hidden.reduce((total, cell) => total + (cell.n ?? 0), 0);
  const couldHide = line.some((cell) => isShown(cell) && (cell.n ?? 0) >= terms.threshold);
  const known = hidden.every((cell) => cell.n !== null);
  if (hidden.length > 0 && couldHide && known && sum < terms.threshold) {
    found.push(`what line ${name} hides is small as a whole`);
  }
  return found;
}

/** Every group of cells that a margin adds up: all choices of which coordinates to fix, the empty choice too. */
export function marginsOf(cells: readonly LabelledCell[]): LabelledCell[][] {
  const dimensions = cells[0]?.at.length ?? 0;
  const groups = new Map<string, LabelledCell[]>();
  for (let fixed = 0; fixed < 2 ** dimensions; fixed++) {
    for (const cell of cells) {
      const key = cell.at.map((label, d) => (Math.floor(fixed / 2 ** d) % 2 === 1 ? label : '·')).join('|');
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [cell]);
      else group.push(cell);
    }
  }
  return [...groups.values()];
}

/**
 * Two-way tables: hidden cells that all exact margins and shown cells determine. A hidden cell is free exactly if it
 * lies on a closed path that turns from row to column at hidden cells (Gusfield 1988): so if, without it, its column
 * can still be reached from its row.
 */
export function determinedCells(hidden: readonly (readonly [row: string, column: string])[]): string[] {
  return hidden
    .filter(([row, column]) => {
      const reached = new Set([`row ${row}`]);
      for (let size = 0; size !== reached.size; ) {
        size = reached.size;
        for (const [r, c] of hidden) {
          if (r === row && c === column) continue;
          if (reached.has(`row ${r}`)) reached.add(`column ${c}`);
          if (reached.has(`column ${c}`)) reached.add(`row ${r}`);
        }
      }
      return !reached.has(`column ${column}`);
    })
    .map(([row, column]) => `${row}|${column}`);
}
