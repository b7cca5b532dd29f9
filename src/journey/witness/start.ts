import { asPhtError, PhtError } from '../../model/error.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';
import type { Network } from '../../model/network.ts';
import { ownLogKeys } from '../../model/past-keys.ts';
import type { Ed25519PublicJwk } from '../../model/schema.ts';
import { type QuorumRule, quorumRule } from '../../model/witnessing.ts';
import type { LedgerTree } from '../../ports/ledger.ts';
import type { WitnessRelay } from '../../ports/witness.ts';
import { assertAnswered, openSeen, type SeenHead, seenHeads, unchecked } from './seen.ts';
import { isOutOfReach, within } from './within.ts';

const CALL_MS = 10_000;

/** One's own ledger as it was signed up to now: `size` entries. */
export type OwnTree = Pick<LedgerTree, 'rootAt'> & { size: number };

export type StartCheckOptions = {
  /** The member whose ledger it is. */
  member: string;
  network: () => Network;
  relay: Pick<WitnessRelay, 'seen'>;
  /** Of the member's own log key of now. With those that the network file names it is what this ledger cannot deny. */
  readonly publicJwk: Ed25519PublicJwk;
  /** The newest checkpoint of this ledger that a mirror holds, null when it holds none; asked where there is no quorum. */
  mirror?: (signal: AbortSignal) => Promise<Uint8Array | null>;
  signal: AbortSignal;
  note: (text: string, details: Readonly<Record<string, unknown>>) => void;
  /** How long one call may take, in milliseconds; 10 s. */
  callMs?: number;
};

/**
 * The start-up rule of protocol section 7: before a process signs for the first time, what others have seen of its ledger
 * must lie within what it holds. A head counts only if both this ledger and the witness have signed it, so that no
 * witness can stop a ledger with a head that never was; and every answer, "none" too, only if the witness has signed it
 * over this question's nonce, so that a relay can hide what was seen only by keeping so many answers back that nothing is
 * signed. Any head that a quorum has cosigned is known to an honest witness in every quorum of answers.
 *
 * @returns what `createLedger` takes as `beforeSigning`; it throws PhtError `ledger.inconsistent` where an old copy was
 *   restored or the ledger runs twice, and `ledger.unchecked`, which passes, while too few have answered
 */
export function createStartCheck(options: StartCheckOptions): (tree: OwnTree) => Promise<void> {
  return async (tree) => {
    const { member, publicJwk, mirror } = options;
    const network = options.network();
    const keys = ownLogKeys(network, member, publicJwk);
    const rule = quorumRule(network, member);
    if (rule !== null) return askWitnesses(rule, keys, tree, options);
    if (mirror !== undefined) return askMirror(mirror, keys, tree, options);
  };
}

async function askWitnesses(
  rule: QuorumRule,
  keys: readonly NoteKey[],
  tree: OwnTree,
  options: StartCheckOptions,
): Promise<void> {
  const { heads, silent } = await seenHeads(rule, keys, options);
  for (const head of heads) await assertHeld(head, tree);
  assertAnswered(rule, silent);
}

async function askMirror(
  mirror: NonNullable<StartCheckOptions['mirror']>,
  keys: readonly NoteKey[],
  tree: OwnTree,
  { note, signal, callMs = CALL_MS }: StartCheckOptions,
): Promise<void> {
  let head: SeenHead | null;
  try {
    const held = await within(callMs, signal, mirror);
    head = held === null ? null : openSeen('the mirror', held, keys, null);
  } catch (thrown) {
    const error = asPhtError(thrown);
    if (!isOutOfReach(error))
      note('the mirror gave no valid answer on what it holds of this ledger', {
        code: error.code,
        err: thrown,
      });
    throw unchecked('the mirror has not said what it holds of this ledger', [error.message], thrown);
  }
  if (head !== null) await assertHeld(head, tree);
}

/** @throws PhtError `ledger.inconsistent` */
async function assertHeld({ by, size, root }: SeenHead, tree: OwnTree): Promise<void> {
  if (size <= tree.size && sameBytes(await tree.rootAt(size), root)) return;
  const what =
    size > tree.size
      ? `${by} has seen ${size} entries of this ledger, and here are ${tree.size}`
      : `${by} has seen other entries of this ledger among the first ${size} than those here`;
  throw new PhtError(
    'ledger.inconsistent',
    `${what}: an old copy of this home was restored, or it runs twice; nothing is signed`,
    {
      hint: 'stop the other copy, or restore the newest one; a station can take its ledger up from the mirror: pht station restore',
    },
  );
}
