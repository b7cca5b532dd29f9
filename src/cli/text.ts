/** Text for a terminal: cleaned of what a stranger could hide in it, and cut to fit. */

const COLUMNS = 80;
const GAP = '  ';
const NARROWEST = 6;

/** Control, formatting (bidirectional overrides, zero width), line separators and lone surrogates. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** Outside text on one line: what cannot be shown is a replacement character, so that it is not silently lost. */
export function clean(text: string): string {
  return text.replace(/[\t\r\n]+/gu, ' ').replace(UNSAFE, '\uFFFD');
}

/** JSON leaves the second set of control characters, DEL and bidirectional overrides as they are; a terminal acts on them. */
const ACTED_ON = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** One line of JSON with everything escaped that a terminal acts on; it means the same. */
export function escapedJson(line: string): string {
  return line.replace(ACTED_ON, (letter) =>
    Array.from({ length: letter.length }, (_, at) => {
      return `\\u${letter.charCodeAt(at).toString(16).padStart(4, '0')}`;
    }).join(''),
  );
}

/** Two columns wide on a terminal (the wide blocks of Unicode TR 11). */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const COMBINING = /\p{M}/u;

function columnsOf(text: string): number {
  let columns = 0;
  for (const letter of text) columns += COMBINING.test(letter) ? 0 : WIDE.test(letter) ? 2 : 1;
  return columns;
}

export function truncate(text: string, columnsMax: number): string {
  if (columnsOf(text) <= columnsMax) return text;
  let kept = '';
  let columns = 0;
  for (const letter of text) {
    columns += columnsOf(letter);
    if (columns > columnsMax - 1) break;
    kept += letter;
  }
  return `${kept}…`;
}

/**
 * A table of at most 80 columns. The widest columns give way first.
 *
 * @returns lines without trailing blanks; cells are cleaned
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  columnsMax = COLUMNS,
): string[] {
  const cells = [head, ...rows].map((row) => head.map((_, at) => clean(row[at] ?? '')));
  const widths = shrink(
    head.map((_, at) => Math.max(...cells.map((row) => columnsOf(row[at] ?? '')))),
    columnsMax - GAP.length * (head.length - 1),
  );
  return cells.map((row) =>
    row
      .map((cell, at) => padTo(truncate(cell, widths[at] ?? 0), widths[at] ?? 0))
      .join(GAP)
      .trimEnd(),
  );
}

/** Words on lines of at most 80 columns; a word that is longer gets a line of its own. */
export function wrap(text: string, indent = 0, columnsMax = COLUMNS): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of clean(text).split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (columnsOf(longer) + indent > columnsMax && line !== '') {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line].map((each) => ' '.repeat(indent) + each);
}

function padTo(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - columnsOf(text)));
}

function shrink(widths: number[], total: number): number[] {
  const shrunk = [...widths];
  while (shrunk.reduce((sum, width) => sum + width, 0) > total) {
    const widest = shrunk.indexOf(Math.max(...shrunk));
    const width = shrunk[widest] ?? 0;
    if (width <= NARROWEST) break;
    shrunk[widest] = width - 1;
  }
  return shrunk;
}
