import { PhtError } from '../error.ts';
import { invalid, sameBytes, strictBase64, strictText } from './strict.ts';
import {
  cosignatureMessage,
  isKeyName,
  isSignedBy,
  type NoteKey,
  signatureTimeS,
  TYPE_COSIGNATURE,
  TYPE_LOG,
} from './vkey.ts';

/** Bounds on what is read; C2SP signed-note demands that at least 16 signatures are accepted. */
export const NOTE_BYTES_MAX = 1_048_576;
export const NOTE_SIGNATURES_MAX = 16;

const KEY_ID_BYTES = 4;
const LINE_PREFIX = '\u2014 ';

/** One signature line, not yet verified. `signature` is without the key id. */
export interface NoteSignature {
  readonly name: string;
  readonly keyId: number;
  readonly signature: Uint8Array;
}

/** `text` ends in a newline and is what is signed. */
export interface Note {
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** A signature that verified; `timeS` is a witness's time in seconds since the Unix epoch, null for a log's own. */
export interface VerifiedSignature {
  readonly key: NoteKey;
  readonly timeS: number | null;
}

export interface OpenedNote {
  readonly text: string;
  /** At most one for each trusted key, in the order of their lines. */
  readonly verified: readonly VerifiedSignature[];
}

/** Signs with the private half of `key`; Ed25519, 64 bytes. */
export interface NoteSigner {
  readonly key: NoteKey;
  sign(message: Uint8Array): Uint8Array;
}

/**
 * Splits a signed note (C2SP signed-note) without trusting it.
 *
 * @throws PhtError `ledger.invalid`
 */
export function parseNote(input: Uint8Array | string): Note {
  const whole = strictText(input, NOTE_BYTES_MAX, 'a signed note');
  if (/[\u0000-\u0009\u000b-\u001f]/.test(whole)) throw invalid('a signed note holds a control character');
  // The text may hold empty lines of its own: the last one separates.
  const split = whole.lastIndexOf('\n\n');
  if (split < 0) throw invalid('a signed note has no empty line before its signatures');
  return { text: whole.slice(0, split + 1), signatures: parseSignatureLines(whole.slice(split + 2)) };
}

/**
 * Reads 1 to 16 signature lines, as a witness answers them.
 *
 * @throws PhtError `ledger.invalid`
 */
export function parseSignatureLines(input: Uint8Array | string): NoteSignature[] {
  const text = strictText(input, NOTE_BYTES_MAX, 'a list of signatures');
  if (!text.endsWith('\n')) throw invalid('a signed note does not end in a newline');
  const lines = text.slice(0, -1).split('\n', NOTE_SIGNATURES_MAX + 1);
  if (lines.length > NOTE_SIGNATURES_MAX) {
    throw invalid(`a signed note has more than ${NOTE_SIGNATURES_MAX} signatures`);
  }
  return lines.map(parseSignatureLine);
}

function parseSignatureLine(line: string): NoteSignature {
  if (!line.startsWith(LINE_PREFIX)) throw invalid('a signature line does not begin with an em dash');
  const [name = '', encoded = '', ...rest] = line.slice(LINE_PREFIX.length).split(' ');
  if (!isKeyName(name) || rest.length > 0) throw invalid('a signature line is malformed');
  const bytes = strictBase64(encoded, 'a signature');
  if (bytes.length <= KEY_ID_BYTES) throw invalid('a signature is too short');
  return { name, keyId: bytes.readUInt32BE(0), signature: bytes.subarray(KEY_ID_BYTES) };
}

export function formatSignatureLine({ name, keyId, signature }: NoteSignature): string {
  const id = Buffer.alloc(KEY_ID_BYTES);
  id.writeUInt32BE(keyId);
  return `${LINE_PREFIX}${name} ${Buffer.concat([id, signature]).toString('base64')}\n`;
}

/** The note as text; reading it back is the check that nothing malformed is ever written. */
export function formatNote(note: Note): string {
  const written = `${note.text}\n${note.signatures.map(formatSignatureLine).join('')}`;
  if (parseNote(written).text !== note.text) throw invalid('a note text must end in a newline');
  return written;
}

/** A log's signature (type 0x01) over `text`, which ends in a newline. */
export function signText(text: string, signer: NoteSigner): NoteSignature {
  if (signer.key.type !== TYPE_LOG) throw invalid('only a log key signs a note');
  return checked(text, signer.key, signer.sign(Buffer.from(text)));
}

/** A witness's `cosignature/v1` (type 0x04); `timeS` is in seconds since the Unix epoch. */
export function cosignText(text: string, signer: NoteSigner, timeS: number): NoteSignature {
  if (signer.key.type !== TYPE_COSIGNATURE) throw invalid('only a witness key cosigns a checkpoint');
  if (!Number.isSafeInteger(timeS) || timeS < 0) throw invalid('the time of a cosignature is out of range');
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(timeS));
  return checked(text, signer.key, Buffer.concat([time, signer.sign(cosignatureMessage(text, timeS))]));
}

/** A signer with another private key than it says must not get a signature out of the door. */
function checked(text: string, key: NoteKey, signature: Uint8Array): NoteSignature {
  if (!isSignedBy(key, text, signature)) {
    throw new PhtError(
      'signature.invalid',
      `the signature made for ${key.name} does not verify with its public key`,
    );
  }
  return { name: key.name, keyId: key.keyId, signature };
}

/** A text signed by one log key, as a signed note. */
export function signNote(text: string, signer: NoteSigner): string {
  return formatNote({ text, signatures: [signText(text, signer)] });
}

/** The note with further signatures behind its own; lines that it has already are not repeated. */
export function addSignatures(note: Note, further: readonly NoteSignature[]): Note {
  const lines = new Map([...note.signatures, ...further].map((line) => [formatSignatureLine(line), line]));
  if (lines.size > NOTE_SIGNATURES_MAX)
    throw invalid(`a note takes at most ${NOTE_SIGNATURES_MAX} signatures`);
  return { text: note.text, signatures: [...lines.values()] };
}

/**
 * Reads a signed note and verifies it. Signatures of unknown keys are ignored; one bad signature of a trusted key
 * rejects the whole note, as C2SP signed-note advises.
 *
 * @param trusted keys from the pinned network file, never from the note's sender
 * @throws PhtError `ledger.invalid` (malformed), `signature.invalid` (a trusted key's signature is wrong),
 *   `signer.unknown` (no trusted key signed)
 */
export function openNote(input: Uint8Array | string, trusted: readonly NoteKey[]): OpenedNote {
  const note = parseNote(input);
  const keys = keysByName(trusted);
  const verified = new Map<NoteKey, VerifiedSignature>();
  for (const { name, keyId, signature } of note.signatures) {
    const key = keys.get(`${name}+${keyId}`);
    if (key === undefined) continue;
    if (!isSignedBy(key, note.text, signature)) {
      throw new PhtError('signature.invalid', `the signature of ${name} on a note does not verify`);
    }
    // A repeated line must not count twice towards a quorum.
    if (!verified.has(key)) verified.set(key, { key, timeS: signatureTimeS(signature) });
  }
  if (verified.size === 0) throw new PhtError('signer.unknown', 'no trusted key has signed this note');
  return { text: note.text, verified: [...verified.values()] };
}

function keysByName(trusted: readonly NoteKey[]): Map<string, NoteKey> {
  const keys = new Map<string, NoteKey>();
  for (const key of trusted) {
    const id = `${key.name}+${key.keyId}`;
    const other = keys.get(id);
    if (other !== undefined && !sameBytes(other.publicKey, key.publicKey)) {
      throw invalid(`two trusted keys share the name and key id ${key.name}`);
    }
    keys.set(id, key);
  }
  return keys;
}
