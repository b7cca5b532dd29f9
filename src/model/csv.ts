import { PhtError } from './error.ts';

/**
 * Comma-separated values (RFC 4180) as a list of rows. A byte order mark and either line break are accepted; blank
 * lines are not rows.
 *
 * @throws PhtError `input.malformed`
 */
export function parseCsv(text: string, what: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let at = text.startsWith('\uFEFF') ? 1 : 0;
  while (at < text.length) {
    const field = readField(text, at, what);
    row.push(field.value);
    at = field.end;
    if (text[at] === ',') {
      at += 1;
      if (at < text.length) continue;
      row.push('');
    }
    if (text.startsWith('\r\n', at)) at += 2;
    else if (text[at] === '\n' || text[at] === '\r') at += 1;
    if (row.length > 1 || row[0] !== '') rows.push(row);
    row = [];
  }
  return rows;
}

function readField(text: string, start: number, what: string): { value: string; end: number } {
  if (text[start] !== '"') {
    const stop = /[,\r\n]/g;
    stop.lastIndex = start;
    const end = stop.exec(text)?.index ?? text.length;
    return { value: text.slice(start, end), end };
  }
  let value = '';
  for (let at = start + 1; ; ) {
    const quote = text.indexOf('"', at);
    if (quote === -1) throw new PhtError('input.malformed', `${what}: a quoted field is not closed`);
    value += text.slice(at, quote);
    if (text[quote + 1] !== '"') return endOfQuoted(text, value, quote + 1, what);
    value += '"';
    at = quote + 2;
  }
}

function endOfQuoted(text: string, value: string, end: number, what: string): { value: string; end: number } {
  if (end === text.length || /[,\r\n]/.test(text[end] ?? '')) return { value, end };
  throw new PhtError('input.malformed', `${what}: text follows a quoted field`);
}
