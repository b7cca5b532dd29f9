import { type Column, DatasetDescription } from './dataset.ts';
import { PhtError } from './error.ts';
import { check } from './schema.ts';

/**
 * A description guessed from the data itself, for trying a train out on one's own files. A station's real description
 * is written by its admin and never computed from patients.
 */

const LEVELS_MAX = 50;
const LEVEL_CHARACTERS_MAX = 80;
const MISSING: readonly string[] = ['', 'NA', 'NaN', '?', '.'];

/** @param tables by file name: a header and at least one row each, all with the same columns */
export function guessDescription(
  id: string,
  title: string,
  tables: readonly { name: string; rows: readonly (readonly string[])[] }[],
): DatasetDescription {
  const header = tables[0]?.rows[0] ?? [];
  for (const { name, rows } of tables) {
    const [own = [], ...records] = rows;
    if (own.join(',') !== header.join(',')) {
      throw new PhtError('dataset.unreadable', `${name} has another header than ${tables[0]?.name}`);
    }
    if (records.length === 0) throw new PhtError('dataset.unreadable', `${name} has no rows`);
    const ragged = records.findIndex((record) => record.length !== header.length);
    if (ragged !== -1) {
      throw new PhtError(
        'dataset.unreadable',
        `${name}: row ${ragged + 1} has another number of fields than the header`,
      );
    }
  }
  if (new Set(header).size !== header.length) {
    throw new PhtError('dataset.unreadable', `${tables[0]?.name} names a column twice`);
  }
  const columns = header.map((name, at) => {
    const values = tables.flatMap(({ rows }) => rows.slice(1).map((row) => (row[at] ?? '').trim()));
    return guessColumn(name.trim(), values);
  });
  const files = tables.map(({ name }) => name);
  return check(
    DatasetDescription,
    { id, title, files, format: 'csv', columns },
    'the guessed dataset description',
  );
}

function guessColumn(name: string, values: readonly string[]): Column {
  const distinct = new Set(values.filter((value) => !MISSING.includes(value)));
  const missing = MISSING.filter((code) => code !== '' && values.includes(code));
  const base = { name, ...(missing.length === 0 ? {} : { missing }) };
  const known = [...distinct];
  const numeric =
    known.length > 0 && known.every((value) => /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(value));
  const whole = numeric && known.every((value) => /^[+-]?\d+$/.test(value));
  // Few whole numbers are codes (0 and 1) more often than measurements.
  if (numeric && !(whole && known.length <= 2)) return { ...base, type: whole ? 'integer' : 'number' };
  if (known.length > 0 && known.every((value) => /^\d{4}-\d{2}-\d{2}$/.test(value)))
    return { ...base, type: 'date' };
  const nameable = known.every((value) => value.length <= LEVEL_CHARACTERS_MAX);
  if (known.length === 0 || known.length > LEVELS_MAX || !nameable) return { ...base, type: 'text' };
  return { ...base, type: 'category', levels: known.sort() };
}
