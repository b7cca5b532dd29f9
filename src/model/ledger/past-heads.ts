import { invalid, strictText } from './strict.ts';

/**
 * Earlier heads of one ledger as they are served and kept: signed notes (C2SP tlog-checkpoint), oldest first, with an
 * empty line between any two. The text of a checkpoint has no empty line, so each note is two paragraphs.
 */

/** Of one ledger: years of days, and small enough for one message. */
export const PAST_HEADS_MAX = 2048;
export const PAST_HEADS_BYTES_MAX: number = 3 * 1024 * 1024;
/** A note of sixteen lines has a third of this. */
export const PAST_HEAD_BYTES_MAX: number = 12 * 1024;

/** @param notes oldest first; those that do not fit are left out, the oldest first */
export function formatPastHeads(notes: readonly Uint8Array[]): Uint8Array {
  const fitting: Uint8Array[] = [];
  let bytes = 0;
  for (const note of notes.toReversed()) {
    bytes += note.byteLength + 1;
    if (bytes > PAST_HEADS_BYTES_MAX || fitting.length === PAST_HEADS_MAX) break;
    fitting.unshift(note);
  }
  return Buffer.concat(fitting.flatMap((note, at) => (at === 0 ? [note] : [SEPARATOR, note])));
}

const SEPARATOR = Buffer.from('\n');

/**
 * Takes them apart; whether each is a head, and whose, its reader has to see.
 *
 * @throws PhtError `ledger.invalid` for what is too large, too much or has no such form
 */
export function parsePastHeads(bytes: Uint8Array): Uint8Array[] {
  const text = strictText(bytes, PAST_HEADS_BYTES_MAX, 'a file of earlier heads');
  if (text === '') return [];
  if (!text.endsWith('\n')) throw invalid('a file of earlier heads does not end in a newline');
  const parts = text.slice(0, -1).split('\n\n', 2 * PAST_HEADS_MAX + 1);
  if (parts.length > 2 * PAST_HEADS_MAX)
    throw invalid(`a file of earlier heads has more than ${PAST_HEADS_MAX} of them`);
  if (parts.length % 2 !== 0 || parts.includes(''))
    throw invalid('a file of earlier heads holds something that is none');
  const notes: Uint8Array[] = [];
  for (let at = 0; at < parts.length; at += 2) {
    const note = Buffer.from(`${parts[at]}\n\n${parts[at + 1]}\n`);
    if (note.length > PAST_HEAD_BYTES_MAX)
      throw invalid(`an earlier head has more than ${PAST_HEAD_BYTES_MAX} bytes`);
    notes.push(note);
  }
  return notes;
}
