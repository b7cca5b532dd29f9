import { PhtError } from '../error.ts';
import { EMPTY_ROOT, HASH_BYTES } from './merkle.ts';
import {
  cosignText,
  type NoteSignature,
  type NoteSigner,
  openNote,
  signNote,
  type VerifiedSignature,
} from './note.ts';
import { assertCount, invalid, sameBytes, strictBase64, strictDecimal, strictText } from './strict.ts';
import { type NoteKey, TYPE_COSIGNATURE, TYPE_LOG } from './vkey.ts';

/** Heads are kept as evidence: extension lines of a liar must not fill a disk, nor make the proof of his lie too large. */
const CHECKPOINT_BYTES_MAX = 8192;

/** The head of a ledger (C2SP tlog-checkpoint). `root` is a SHA-256 hash of 32 bytes. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
  /** Lines that another log may add; ours never does, since nobody audits them. */
  readonly extensions: readonly string[];
}

export interface CheckpointTrust {
  readonly origin: string;
  /** At least one of these must have signed. */
  readonly logKeys: readonly NoteKey[];
  readonly witnessKeys: readonly NoteKey[];
}

export interface OpenedCheckpoint {
  readonly checkpoint: Checkpoint;
  /** The signed text, byte for byte what a witness cosigns. */
  readonly text: string;
  /** Which of the log keys have signed: one, unless somebody signs with an old key and its successor. */
  readonly signedBy: readonly NoteKey[];
  readonly cosignatures: readonly VerifiedSignature[];
}

function isLine(text: string): boolean {
  return text !== '' && text.isWellFormed() && !/[\u0000-\u001f]/.test(text);
}

/** @throws PhtError `ledger.invalid` where a field does not fit the format */
export function formatCheckpoint(checkpoint: Checkpoint): string {
  const { origin, size, root, extensions } = checkpoint;
  if (![origin, ...extensions].every(isLine))
    throw invalid('a checkpoint line is empty or holds a control character');
  assertHead(size, root);
  return [origin, size, Buffer.from(root).toString('base64'), ...extensions]
    .map((line) => `${line}\n`)
    .join('');
}

/**
 * Reads a checkpoint's text, without signatures.
 *
 * @throws PhtError `ledger.invalid`
 */
export function parseCheckpoint(input: Uint8Array | string): Checkpoint {
  const text = strictText(input, CHECKPOINT_BYTES_MAX, 'a checkpoint');
  if (!text.endsWith('\n')) throw invalid('a checkpoint does not end in a newline');
  const lines = text.slice(0, -1).split('\n');
  if (!lines.every(isLine)) throw invalid('a checkpoint line is empty or holds a control character');
  const [origin, sizeText, rootText, ...extensions] = lines;
  if (origin === undefined || sizeText === undefined || rootText === undefined) {
    throw invalid('a checkpoint has fewer than three lines');
  }
  const size = strictDecimal(sizeText, 'the size in a checkpoint');
  const root = strictBase64(rootText, 'the root in a checkpoint');
  assertHead(size, root);
  return { origin, size, root, extensions };
}

function assertHead(size: number, root: Uint8Array): void {
  assertCount(size, 'the size in a checkpoint');
  if (root.length !== HASH_BYTES)
    throw invalid(`the root in a checkpoint has ${root.length} bytes, not ${HASH_BYTES}`);
  if (size === 0 && !sameBytes(root, EMPTY_ROOT))
    throw invalid('a checkpoint of size 0 has another root than no leaves');
}

/** The signed head, under the rule that a log signs as its origin. */
export function signCheckpoint(checkpoint: Checkpoint, signer: NoteSigner): string {
  if (signer.key.name !== checkpoint.origin) throw invalid('a log signs checkpoints under its origin only');
  return signNote(formatCheckpoint(checkpoint), signer);
}

/** A witness's statement that it saw this checkpoint, consistent with all before; `text` as `openCheckpoint` gave it. */
export function cosignCheckpoint(text: string, signer: NoteSigner, timeS: number): NoteSignature {
  parseCheckpoint(text);
  return cosignText(text, signer, timeS);
}

/**
 * Verifies a signed checkpoint of one known ledger.
 *
 * @throws PhtError `ledger.invalid` (malformed or of another origin), `signature.invalid`, `signer.unknown` (the
 *   ledger's own key has not signed; witnesses alone do not do)
 */
export function openCheckpoint(input: Uint8Array | string, trust: CheckpointTrust): OpenedCheckpoint {
  if (
    trust.logKeys.some(({ type }) => type !== TYPE_LOG) ||
    trust.witnessKeys.some(({ type }) => type !== TYPE_COSIGNATURE)
  ) {
    throw invalid('a log key and a witness key were confused');
  }
  const { text, verified } = openNote(input, [...trust.logKeys, ...trust.witnessKeys]);
  const signedBy = verified.map(({ key }) => key).filter(({ type }) => type === TYPE_LOG);
  if (signedBy.length === 0) {
    throw new PhtError('signer.unknown', `the checkpoint is not signed by the ledger ${trust.origin}`);
  }
  const checkpoint = parseCheckpoint(text);
  if (checkpoint.origin !== trust.origin) throw invalid('a checkpoint belongs to another ledger');
  const cosignatures = verified.filter(({ key }) => key.type === TYPE_COSIGNATURE);
  return { checkpoint, text, signedBy, cosignatures };
}
