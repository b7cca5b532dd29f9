import { z } from 'zod';
import { PhtError } from '../error.ts';
import { type Digest, digestOf } from '../id.ts';
import type { Network } from '../network.ts';
import { logKeysOf } from '../past-keys.ts';
import { parseWith, Sha256Hex, Slug } from '../schema.ts';
import { openCheckpoint, parseCheckpoint } from './checkpoint.ts';
import { formatNote, openNote, parseNote } from './note.ts';
import { ledgerOrigin } from './origin.ts';
import { sameBytes } from './strict.ts';
import { formatVkey, isSignedBy, type NoteKey } from './vkey.ts';

const SCHEMA = 'pht-misconduct/v1';
const NOTE_CHARS_MAX = 16_384;
const FILE_BYTES_MAX = 131_072;

const Note = z.string().min(1).max(NOTE_CHARS_MAX);

// Members stand in the order in which they are written.
const MisconductFile = z.strictObject({
  schema: z.literal(SCHEMA),
  networkId: Sha256Hex,
  member: Slug,
  origin: z.string().min(1).max(200),
  vkey: z.string().min(1).max(400),
  /** Of the second note, where another key of the same log signed it. */
  secondVkey: z.string().min(1).max(400).optional(),
  size: z.int().min(0),
  notes: z.tuple([Note, Note]),
});

/** One ledger signed two roots for one size: with its public key, proof to anyone that it shows two pasts. */
export type Misconduct = z.infer<typeof MisconductFile>;

/** Two signed heads of one ledger with one size and two roots. */
export type SignedPair = { origin: string; size: number; notes: readonly [string, string] };

/**
 * Names a conflict: digest over origin, size and the two roots, whichever of them was seen first and whoever cosigned.
 *
 * @throws PhtError `ledger.invalid`
 */
export function conflictDigest({ origin, size, notes }: SignedPair): Digest {
  const roots = notes.map((note) =>
    Buffer.from(parseCheckpoint(parseNote(note).text).root).toString('base64'),
  );
  return digestOf(JSON.stringify({ origin, size, roots: roots.sort() }));
}

/**
 * The note with its ledger's own signature and no other.
 *
 * @throws PhtError `ledger.invalid`, `signature.invalid`
 */
export function onlySignedBy(note: string, key: NoteKey): string {
  const { text, signatures } = parseNote(note);
  const own = signatures.find(
    ({ name, keyId, signature }) =>
      name === key.name && keyId === key.keyId && isSignedBy(key, text, signature),
  );
  if (own === undefined) throw new PhtError('signature.invalid', `${key.name} has not signed this note`);
  return formatNote({ text, signatures: [own] });
}

/**
 * The keys whose holder answers for what they signed: those of the member, revoked or not, but none that was reported to
 * be in other hands.
 */
export function accountableKeys(network: Network, member: string): NoteKey[] {
  return logKeysOf(network, member)
    .filter(({ stolen }) => !stolen)
    .map(({ key }) => key);
}

/**
 * The proof for a conflict that was found in this network. A log that has rotated its key answers for both: two roots for
 * one size are a conflict whichever of them signed.
 *
 * @throws PhtError `signer.unknown` when the network has no log key of that member, `signature.invalid`, `proof.invalid`
 */
export function misconductOf(network: Network, conflict: SignedPair & { member: string }): Misconduct {
  const { member, origin, size } = conflict;
  const keys = accountableKeys(network, member);
  if (keys.length === 0)
    throw new PhtError(
      'signer.unknown',
      `the network file names no log key of ${member} that it answers for`,
    );
  const [first, second] = conflict.notes.map((note) => signedByOneOf(note, keys));
  if (first === undefined || second === undefined) throw unproven('a note is missing');
  const misconduct: Misconduct = {
    schema: SCHEMA,
    networkId: network.id,
    member,
    origin,
    vkey: formatVkey(first.key),
    ...(first.key === second.key ? {} : { secondVkey: formatVkey(second.key) }),
    size,
    notes: [first.note, second.note],
  };
  verifyMisconduct(misconduct, keys);
  return misconduct;
}

function signedByOneOf(note: string, keys: readonly NoteKey[]): { key: NoteKey; note: string } {
  const [signed] = openNote(note, keys).verified;
  if (signed === undefined) throw unproven('a note is not signed');
  return { key: signed.key, note: onlySignedBy(note, signed.key) };
}

/** The file's one spelling: JSON with its members in fixed order and a newline. */
export function formatMisconduct(misconduct: Misconduct): Uint8Array {
  const { schema, networkId, member, origin, vkey, secondVkey, size, notes } = misconduct;
  const second = secondVkey === undefined ? {} : { secondVkey };
  const file = { schema, networkId, member, origin, vkey, ...second, size, notes };
  return Buffer.from(`${JSON.stringify(file)}\n`);
}

/**
 * Reads the file strictly and in its one spelling, without trusting it.
 *
 * @throws PhtError `proof.invalid`, `input.malformed`, `input.too-large`
 */
export function parseMisconduct(bytes: Uint8Array): Misconduct {
  const limits = { bytesMax: FILE_BYTES_MAX, what: 'a proof of misconduct' };
  const misconduct = parseWith(MisconductFile, bytes, limits, 'proof.invalid');
  if (!sameBytes(formatMisconduct(misconduct), bytes))
    throw unproven('the file is not in its canonical form');
  return misconduct;
}

/**
 * Whether the file proves what it says, from nothing but the ledger's public keys.
 *
 * @param keys the accused's log keys as the verifier knows them, from a pinned network file or out of band
 * @throws PhtError `proof.invalid`
 */
export function verifyMisconduct(misconduct: Misconduct, keys: NoteKey | readonly NoteKey[]): void {
  const { networkId, member, origin, vkey, secondVkey, size, notes } = misconduct;
  if (origin !== ledgerOrigin(networkId, member)) throw unproven('its origin is not that of the member');
  const known = [keys].flat();
  const keyOf = (text: string): NoteKey => {
    const key = known.find((candidate) => candidate.name === origin && formatVkey(candidate) === text);
    if (key === undefined) throw unproven('it names another key than the one it is verified with');
    return key;
  };
  const [first, second] = [headOf(notes[0], keyOf(vkey)), headOf(notes[1], keyOf(secondVkey ?? vkey))];
  if (first.size !== size || second.size !== size)
    throw unproven('the two notes are not of the size it names');
  if (sameBytes(first.root, second.root)) throw unproven('both notes have the same root, as they should');
}

function headOf(note: string, key: NoteKey): { size: number; root: Uint8Array } {
  try {
    return openCheckpoint(note, { origin: key.name, logKeys: [key], witnessKeys: [] }).checkpoint;
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    throw unproven(thrown.message, thrown);
  }
}

function unproven(why: string, cause?: unknown): PhtError {
  const options = cause === undefined ? {} : { cause };
  return new PhtError('proof.invalid', `the file proves no misconduct: ${why}`, options);
}
