import { verify } from 'node:crypto';
import { PhtError } from '../error.ts';
import type { NoteSigner } from './note.ts';
import { invalid } from './strict.ts';
import { isKeyName, type NoteKey, TYPE_COSIGNATURE } from './vkey.ts';

/** What a ledger asks a witness at start-up: which head of mine have you cosigned last? */
export type SeenQuestion = {
  /** Of the ledger of whoever asks. */
  readonly origin: string;
  /** 32 random bytes, new for each question: an older answer is none. */
  readonly nonce: Uint8Array;
};

/** A witness's answer as it travels: nothing of it is true before `verifySeen`. */
export type SeenAnswer = {
  /** The signed note of that head; empty when the witness has cosigned none. */
  readonly note: Uint8Array;
  /** Ed25519 with the witness key over `seenMessage`, 64 bytes. */
  readonly signature: Uint8Array;
};

export const SEEN_NONCE_BYTES = 32;
/** Neither a `cosignature/v1` nor a checkpoint begins with this line. */
const DOMAIN = 'signalbox.example/witness-seen/v1';

/**
 * What the witness signs: the domain, its own key name, the ledger's origin and the nonce in base64, a line each, and then
 * the exact bytes of the note. Both names hold the network id, and no name holds a newline: one reading only.
 *
 * @throws PhtError `ledger.invalid` for a nonce of another length or a name that is none
 */
export function seenMessage({ origin, nonce }: SeenQuestion, note: Uint8Array, witness: string): Uint8Array {
  if (nonce.length !== SEEN_NONCE_BYTES)
    throw invalid(`the nonce of a question to a witness has ${nonce.length} bytes, not ${SEEN_NONCE_BYTES}`);
  if (!isKeyName(origin) || !isKeyName(witness))
    throw invalid('a question to a witness names no ledger or no witness');
  const head = [DOMAIN, witness, origin, Buffer.from(nonce).toString('base64')];
  return Buffer.concat([Buffer.from(head.map((line) => `${line}\n`).join('')), note]);
}

/**
 * A witness's signed answer.
 *
 * @throws PhtError `ledger.invalid` as `seenMessage`, `signature.invalid` where the signer has another private key than it says
 */
export function signSeen(question: SeenQuestion, note: Uint8Array, signer: NoteSigner): SeenAnswer {
  const answer = { note, signature: signer.sign(seenMessage(question, note, signer.key.name)) };
  verifySeen(question, answer, signer.key);
  return answer;
}

/**
 * Whether this is what that witness says to exactly this question. What the note says is another question.
 *
 * @param key the witness's, from the pinned network file
 * @throws PhtError `signature.invalid`, `ledger.invalid` where the key is no witness's or the question is none
 */
export function verifySeen(question: SeenQuestion, { note, signature }: SeenAnswer, key: NoteKey): void {
  if (key.type !== TYPE_COSIGNATURE) throw invalid('only a witness key signs what it has seen');
  const message = seenMessage(question, note, key.name);
  if (verify(null, message, key.keyObject, signature)) return;
  throw new PhtError(
    'signature.invalid',
    `the answer on what ${key.name} has seen is not signed by it, or answers another question`,
  );
}
