import { verify } from 'node:crypto';
import { PhtError } from '../error.ts';
import type { LedgerEntry } from './entry.ts';
import type { NoteSigner } from './note.ts';
import { assertCount, invalid, strictBase64 } from './strict.ts';
import { formatVkey, isKeyName, type NoteKey, TYPE_LOG } from './vkey.ts';

/**
 * A log key gives way to the next one through an entry `log.rotated` that both have signed. Its place is the boundary:
 * heads of at most `index` entries are signed with the old key, those of more with the new key alone. The origin stays
 * the same, so C2SP tools know the log by two vkeys of one name.
 */
export type Rotation = { readonly index: number; readonly from: NoteKey; readonly to: NoteKey };

/** Neither a checkpoint nor a `cosignature/v1` begins with this line, and no log has it as its origin. */
const DOMAIN = 'signalbox.example/log-rotation/v1';
const SIGNATURE_BYTES = 64;

/**
 * What both keys sign (Ed25519): five lines, each with a newline behind it: the domain, the origin of the log, the index
 * of the entry in decimal, and the vkeys (C2SP signed-note) of the old key and of the new one.
 *
 * @throws PhtError `ledger.invalid` for keys that are not two keys of one log
 */
export function rotationMessage({ index, from, to }: Rotation): Uint8Array {
  assertCount(index, 'the index of a rotation');
  if (from.type !== TYPE_LOG || to.type !== TYPE_LOG) throw invalid('only log keys are rotated so');
  if (from.name !== to.name || !isKeyName(from.name)) throw invalid('a rotation names keys of two logs');
  if (formatVkey(from) === formatVkey(to)) throw invalid('a rotation names one key twice');
  const lines = [DOMAIN, from.name, index, formatVkey(from), formatVkey(to)];
  return Buffer.from(lines.map((line) => `${line}\n`).join(''));
}

/**
 * The body of the entry at `index`.
 *
 * @throws PhtError `ledger.invalid`, `signature.invalid` where a signer has another private key than it says
 */
export function rotationBody(index: number, from: NoteSigner, to: NoteSigner): LedgerEntry['body'] {
  const rotation = { index, from: from.key, to: to.key };
  const message = rotationMessage(rotation);
  const body = {
    oldKeyId: keyIdText(from.key),
    newKeyId: keyIdText(to.key),
    oldSignature: Buffer.from(from.sign(message)).toString('base64'),
    newSignature: Buffer.from(to.sign(message)).toString('base64'),
  };
  readRotation(body, index, [from.key, to.key]);
  return body;
}

/**
 * Reads and verifies what an entry `log.rotated` says at its place in its log.
 *
 * @param keys those that the member has had for this log, by the pinned network, oldest first
 * @throws PhtError `ledger.invalid` (malformed, or back to an older key), `signer.unknown` for a key that is none of
 *   these, `signature.invalid` unless both have signed exactly this
 */
export function readRotation(body: LedgerEntry['body'], index: number, keys: readonly NoteKey[]): Rotation {
  const [from, to] = [keyNamed(body['oldKeyId'], keys), keyNamed(body['newKeyId'], keys)];
  if (Object.keys(body).length !== 4) throw invalid('an entry about a rotation has other members than four');
  if (keys.indexOf(to) <= keys.indexOf(from)) throw invalid('a log does not go back to an older key');
  const rotation = { index, from, to };
  const message = rotationMessage(rotation);
  assertSigned(message, from, body['oldSignature'], 'old');
  assertSigned(message, to, body['newSignature'], 'new');
  return rotation;
}

/** As it stands in entries: eight hexadecimal digits. */
export function keyIdText({ keyId }: Pick<NoteKey, 'keyId'>): string {
  return keyId.toString(16).padStart(8, '0');
}

function keyNamed(text: LedgerEntry['body'][string] | undefined, keys: readonly NoteKey[]): NoteKey {
  if (typeof text !== 'string' || !/^[0-9a-f]{8}$/.test(text))
    throw invalid('an entry about a rotation names no key');
  const key = keys.find((candidate) => keyIdText(candidate) === text);
  if (key === undefined)
    throw new PhtError('signer.unknown', `the network file names no log key ${text} of this member`);
  return key;
}

function assertSigned(
  message: Uint8Array,
  key: NoteKey,
  signature: LedgerEntry['body'][string] | undefined,
  which: string,
): void {
  if (typeof signature !== 'string') throw invalid(`a rotation is not signed with the ${which} key`);
  const bytes = strictBase64(signature, `the signature of the ${which} key on a rotation`);
  if (bytes.length === SIGNATURE_BYTES && verify(null, message, key.keyObject, bytes)) return;
  throw new PhtError(
    'signature.invalid',
    `the rotation is not signed with the ${which} key for this log and this place in it`,
  );
}

/**
 * What is wrong with the key that a head of `size` entries is signed with, given all rotations in the log up to there;
 * null where nothing is. With no rotation at all any one key of the member may be the log's.
 */
export function wrongKeyOf(
  size: number,
  signedBy: readonly NoteKey[],
  rotations: readonly Rotation[],
): string | null {
  const [first, ...more] = signedBy;
  if (first === undefined || more.length > 0)
    return `the head of ${size} entries is signed with two log keys`;
  const before = rotations.findLast(({ index }) => index < size);
  const expected = before?.to ?? rotations[0]?.from ?? first;
  if (first.keyId === expected.keyId) return null;
  const where =
    before === undefined
      ? `which the log only got at entry ${rotations[0]?.index}`
      : `which gave way to ${keyIdText(before.to)} at entry ${before.index}`;
  return `the head of ${size} entries is signed with the key ${keyIdText(first)}, ${where}`;
}
