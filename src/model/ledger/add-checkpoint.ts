import { HASH_BYTES } from './merkle.ts';
import { formatSignatureLine, type NoteSignature, parseNote, parseSignatureLines } from './note.ts';
import { assertCount, invalid, strictBase64, strictDecimal, strictText } from './strict.ts';

/** What a ledger asks of a witness (C2SP tlog-witness, `POST <prefix>/add-checkpoint`). */
export type AddCheckpoint = {
  /** What the ledger takes the witness to have cosigned last; 0 for nothing. */
  readonly sizeBefore: number;
  /** Consistency proof from `sizeBefore` to the checkpoint's size, at most 63 hashes. */
  readonly hashes: readonly Uint8Array[];
  /** The signed checkpoint, verbatim. */
  readonly checkpoint: string;
};

/** Far above 63 hashes and a note with 16 signatures. */
export const ADD_CHECKPOINT_BYTES_MAX = 65_536;
/** `Content-Type` of the answers to it. */
export const SIZE_TYPE = 'text/x.tlog.size';
export const LINES_TYPE = 'text/plain; charset=utf-8';

const HASHES_MAX = 63;
const SIZE_BYTES_MAX = 32;

/** @throws PhtError `ledger.invalid` where a part does not fit the format */
export function formatAddCheckpoint(request: AddCheckpoint): Uint8Array {
  assertCount(request.sizeBefore, 'the old size');
  const hashes = request.hashes.map((hash) => Buffer.from(hash).toString('base64'));
  const bytes = Buffer.from([`old ${request.sizeBefore}`, ...hashes, '', request.checkpoint].join('\n'));
  parseAddCheckpoint(bytes);
  return bytes;
}

/**
 * Reads the body without trusting it; the checkpoint in it is a well-formed signed note, no more.
 *
 * @throws PhtError `ledger.invalid`
 */
export function parseAddCheckpoint(bytes: Uint8Array): AddCheckpoint {
  const text = strictText(bytes, ADD_CHECKPOINT_BYTES_MAX, 'a request to a witness');
  // The note has an empty line of its own: the first one separates.
  const split = text.indexOf('\n\n');
  if (split < 0) throw invalid('a request to a witness has no empty line before its checkpoint');
  const [oldLine = '', ...encoded] = text.slice(0, split).split('\n', HASHES_MAX + 2);
  if (!oldLine.startsWith('old ')) throw invalid('a request to a witness does not begin with the old size');
  const sizeBefore = strictDecimal(oldLine.slice('old '.length), 'the old size');
  if (encoded.length > HASHES_MAX) throw invalid(`a consistency proof has more than ${HASHES_MAX} hashes`);
  const hashes = encoded.map((line) => strictBase64(line, 'a hash in a consistency proof'));
  if (hashes.some((hash) => hash.length !== HASH_BYTES))
    throw invalid(`a hash in a consistency proof is not ${HASH_BYTES} bytes long`);
  const checkpoint = text.slice(split + 2);
  parseNote(checkpoint);
  return { sizeBefore, hashes, checkpoint };
}

/** The body of status 409: the size that the witness has cosigned last. */
export function formatSize(size: number): Uint8Array {
  assertCount(size, 'the size in an answer');
  return Buffer.from(`${size}\n`);
}

/** @throws PhtError `ledger.invalid` */
export function parseSize(body: Uint8Array): number {
  const text = strictText(body, SIZE_BYTES_MAX, 'the size that a witness answered');
  if (!text.endsWith('\n')) throw invalid('the size that a witness answered does not end in a newline');
  return strictDecimal(text.slice(0, -1), 'the size that a witness answered');
}

/** The body of status 200. */
export function formatCosignatures(lines: readonly NoteSignature[]): Uint8Array {
  return Buffer.from(lines.map(formatSignatureLine).join(''));
}

/**
 * Reads the signature lines of status 200, none of them verified.
 *
 * @throws PhtError `ledger.invalid`
 */
export function parseCosignatures(body: Uint8Array): NoteSignature[] {
  strictText(body, ADD_CHECKPOINT_BYTES_MAX, 'the answer of a witness');
  return parseSignatureLines(body);
}
