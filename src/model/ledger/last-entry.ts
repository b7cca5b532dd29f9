import { decodeEntry, type EntryType, type LedgerEntry } from './entry.ts';

const ROWS = 512;

/**
 * The newest entry of one type, looked for from the end. Entries have one spelling, so the others need no parsing.
 *
 * @param rows one's own ledger as its store holds it
 */
export function lastEntry(
  rows: { size(): number; read(first: number, end: number): readonly Uint8Array[] },
  type: EntryType,
): LedgerEntry | null {
  const mark = Buffer.from(`"type":"${type}"`);
  for (let end = rows.size(); end > 0; end -= ROWS) {
    const found = rows
      .read(Math.max(0, end - ROWS), end)
      .findLast((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(mark));
    if (found !== undefined) return decodeEntry(found);
  }
  return null;
}
