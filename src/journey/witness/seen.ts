import { randomBytes } from 'node:crypto';
import { asPhtError, PhtError } from '../../model/error.ts';
import { openCheckpoint } from '../../model/ledger/checkpoint.ts';
import { SEEN_NONCE_BYTES, type SeenAnswer, type SeenQuestion, verifySeen } from '../../model/ledger/seen.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';
import { inForce } from '../../model/past-keys.ts';
import type { QuorumRule } from '../../model/witnessing.ts';
import type { WitnessRelay } from '../../ports/witness.ts';
import { isOutOfReach, within } from './within.ts';

const CALL_MS = 10_000;

/** A head of one's own ledger that somebody has seen. */
export type SeenHead = { by: string; size: number; root: Uint8Array };

export type AskOptions = {
  relay: Pick<WitnessRelay, 'seen'>;
  signal: AbortSignal;
  note: (text: string, details: Readonly<Record<string, unknown>>) => void;
  /** How long one call may take, in milliseconds; 10 s. */
  callMs?: number;
};

/**
 * What the witnesses of a network have seen of one's own ledger: all of them are asked, beyond the quorum too, since any
 * single one may be the one that saw more. Each gets a nonce of its own and signs what it says, "none" too: an answer that
 * somebody else made, altered, swapped or kept from an earlier question is no answer.
 *
 * @param keys of the ledger, earlier ones too: what it signed itself, it cannot deny
 * @returns the heads that verify, and in words each witness that gave no answer that does
 */
export async function seenHeads(
  { witnesses }: QuorumRule,
  keys: readonly NoteKey[],
  { relay, signal, note, callMs = CALL_MS }: AskOptions,
): Promise<{ heads: SeenHead[]; silent: string[] }> {
  const heads: SeenHead[] = [];
  const silent: string[] = [];
  await Promise.all(
    witnesses.map(async ({ member: witness, keys: cosigning }) => {
      const known = cosigning.map(({ key }) => key);
      try {
        const nonce = randomBytes(SEEN_NONCE_BYTES);
        const answer = await within(callMs, signal, (either) => relay.seen(witness, nonce, either));
        assertAnswer({ origin: originOf(keys), nonce }, answer, inForce(cosigning).reverse());
        // What it cosigned last it may have cosigned with a key that it has replaced since.
        if (answer.note.length > 0) heads.push(openSeen(witness, answer.note, keys, known));
      } catch (thrown) {
        const error = asPhtError(thrown);
        if (!isOutOfReach(error))
          note('a witness gave no valid answer on what it knows of this ledger', {
            witness,
            code: error.code,
            err: thrown,
          });
        silent.push(`${witness}: ${error.message}`);
      }
    }),
  );
  return { heads, silent: silent.sort() };
}

/** @throws PhtError `ledger.unchecked` unless as many have answered as the network asks for */
export function assertAnswered({ quorum, witnesses }: QuorumRule, silent: readonly string[]): void {
  const answered = witnesses.length - silent.length;
  if (answered >= quorum) return;
  const why = `${answered} of the ${quorum} witnesses that are needed have said what they know of this ledger`;
  throw unchecked(why, silent);
}

export function unchecked(why: string, reasons: readonly string[], cause?: unknown): PhtError {
  const options = cause === undefined ? {} : { cause };
  return new PhtError('ledger.unchecked', `${why}; until then nothing is signed`, {
    hint: 'nothing is lost: it is asked again as soon as they can be reached',
    reasons,
    ...options,
  });
}

function originOf(keys: readonly NoteKey[]): string {
  const [key] = keys;
  if (key === undefined) throw new PhtError('internal', 'a ledger without a key asks what was seen of it');
  return key.name;
}

/** @throws PhtError `signature.invalid` unless one of the witness's keys in force gives exactly this answer */
function assertAnswer(question: SeenQuestion, answer: SeenAnswer, keys: readonly NoteKey[]): void {
  const [key, ...others] = keys;
  if (key === undefined)
    throw new PhtError('signer.unknown', 'the network file names no key of that witness');
  try {
    verifySeen(question, answer, key);
  } catch (thrown) {
    if (others.length === 0 || !(thrown instanceof PhtError) || thrown.code !== 'signature.invalid')
      throw thrown;
    assertAnswer(question, answer, others);
  }
}

/**
 * A head counts only if both the ledger and the witness have signed it, so that no witness can invent one.
 *
 * @param witnessKeys null where nobody has to have cosigned it
 * @throws PhtError as `openCheckpoint`
 */
export function openSeen(
  by: string,
  note: Uint8Array,
  keys: readonly NoteKey[],
  witnessKeys: readonly NoteKey[] | null,
): SeenHead {
  const trust = { origin: originOf(keys), logKeys: keys, witnessKeys: witnessKeys ?? [] };
  const opened = openCheckpoint(note, trust);
  if (witnessKeys !== null && opened.cosignatures.length === 0)
    throw new PhtError('signer.unknown', 'the witness has not signed what it shows');
  const { size, root } = opened.checkpoint;
  return { by, size, root };
}
