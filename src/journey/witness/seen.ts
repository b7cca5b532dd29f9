import { randomBytes } from 'node:crypto';
import { asPhtError, PhtError } from '../../model/error.ts';
import { openCheckpoint } from '../../model/ledger/checkpoint.ts';
import { SEEN_NONCE_BYTES, verifySeen } from '../../model/ledger/seen.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';
import type { WitnessPolicy } from '../../model/witnessing.ts';
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
 * @param key of the ledger; what it signed itself, it cannot deny
 * @returns the heads that verify, and in words each witness that gave no answer that does
 */
export async function seenHeads(
  { witnesses }: WitnessPolicy,
  key: NoteKey,
  { relay, signal, note, callMs = CALL_MS }: AskOptions,
): Promise<{ heads: SeenHead[]; silent: string[] }> {
  const heads: SeenHead[] = [];
  const silent: string[] = [];
  await Promise.all(
    witnesses.map(async ({ member: witness, key: witnessKey }) => {
      try {
        const nonce = randomBytes(SEEN_NONCE_BYTES);
        const answer = await within(callMs, signal, (either) => relay.seen(witness, nonce, either));
        verifySeen({ origin: key.name, nonce }, answer, witnessKey);
        if (answer.note.length > 0) heads.push(openSeen(witness, answer.note, key, witnessKey));
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
export function assertAnswered({ quorum, witnesses }: WitnessPolicy, silent: readonly string[]): void {
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

/**
 * A head counts only if both the ledger and the witness have signed it, so that no witness can invent one.
 *
 * @param witnessKey null where nobody has to have cosigned it
 * @throws PhtError as `openCheckpoint`
 */
export function openSeen(by: string, note: Uint8Array, key: NoteKey, witnessKey: NoteKey | null): SeenHead {
  const witnessKeys = witnessKey === null ? [] : [witnessKey];
  const opened = openCheckpoint(note, { origin: key.name, logKeys: [key], witnessKeys });
  if (opened.cosignatures.length < witnessKeys.length)
    throw new PhtError('signer.unknown', 'the witness has not signed what it shows');
  const { size, root } = opened.checkpoint;
  return { by, size, root };
}
