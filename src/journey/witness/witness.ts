import { PhtError } from '../../model/error.ts';
import {
  type AddCheckpoint,
  formatCosignatures,
  formatSize,
  LINES_TYPE,
  parseAddCheckpoint,
  SIZE_TYPE,
} from '../../model/ledger/add-checkpoint.ts';
import { type Checkpoint, cosignCheckpoint, parseCheckpoint } from '../../model/ledger/checkpoint.ts';
import { EMPTY_ROOT } from '../../model/ledger/merkle.ts';
import { onlySignedBy } from '../../model/ledger/misconduct.ts';
import { addSignatures, formatNote, type NoteSigner, openNote, parseNote } from '../../model/ledger/note.ts';
import { ledgerOrigin, witnessKey } from '../../model/ledger/origin.ts';
import { verifyConsistency } from '../../model/ledger/proof.ts';
import { SEEN_NONCE_BYTES, type SeenAnswer, type SeenQuestion, signSeen } from '../../model/ledger/seen.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';
import type { Network } from '../../model/network.ts';
import { countsAt, logKeysOf } from '../../model/past-keys.ts';
import type { Signer } from '../../ports/signer.ts';
import type { LedgerConflict, WitnessAnswer, WitnessedHead, WitnessStore } from '../../ports/witness.ts';

/** One member's witness of the other ledgers of its network (C2SP tlog-witness). */
export type Witness = {
  /** Answers an `add-checkpoint` body. What it answers is durable; what its store throws, it throws. */
  addCheckpoint(body: Uint8Array): WitnessAnswer;
  /**
   * The last checkpoint that it has cosigned of the ledger of this origin, signed over the nonce; an empty note says that
   * there is none.
   *
   * @returns null, and signs nothing, for a ledger that it does not know or a nonce that is none
   */
  seen(question: SeenQuestion): SeenAnswer | null;
};

export type WitnessOptions = {
  /** The member whose witness this is. */
  id: string;
  /** The pinned network as it is now: who is revoked is unknown from then on. */
  network: () => Network;
  store: WitnessStore;
  /** Over the member's witness key. */
  signer: Signer;
  /** Milliseconds since the Unix epoch. */
  nowMs: () => number;
  /** Told of each conflict that is found or found again. */
  conflict?: (conflict: LedgerConflict) => void;
};

/** `keys`: those that count by themselves, oldest first. */
type Ledger = { member: string; origin: string; keys: readonly NoteKey[] };
/** A checkpoint that its ledger has validly signed with `key`; `note` holds that signature only. */
type Signed = { checkpoint: Checkpoint; text: string; note: string; key: NoteKey };

export function createWitness(options: WitnessOptions): Witness {
  const { id, store, signer, nowMs } = options;
  const ledgersOf = rememberLast((network: Network) => ledgersFor(network, id));

  const signerIn = (networkId: string): NoteSigner => ({
    key: witnessKey(networkId, id, signer.publicJwk),
    sign: (message) => signer.sign(message),
  });

  const cosign = (signed: Signed, networkId: string): { note: string; answer: WitnessAnswer } => {
    const timeS = Math.floor(nowMs() / 1000);
    const line = cosignCheckpoint(signed.text, signerIn(networkId), timeS);
    return {
      note: formatNote(addSignatures(parseNote(signed.note), [line])),
      answer: { status: 200, contentType: LINES_TYPE, body: formatCosignatures([line]) },
    };
  };

  /** Whether this head contradicts one that was seen before; remembered whatever the answer will be. */
  const contradicts = ({ member, origin }: Ledger, { checkpoint, note }: Signed): boolean => {
    const { size, root } = checkpoint;
    const conflict = store.noteHead(member, origin, { size, root, note }, nowMs());
    if (conflict !== null) options.conflict?.(conflict);
    return conflict !== null;
  };

  const decide = (
    request: AddCheckpoint,
    ledger: Ledger,
    signed: Signed,
    network: Network,
  ): WitnessAnswer => {
    const { size, root } = signed.checkpoint;
    const contradicted = contradicts(ledger, signed);
    if (request.sizeBefore > size) return refusal(400, 'the old size is larger than the checkpoint');
    const before = store.head(ledger.origin);
    if (request.sizeBefore !== (before?.size ?? 0)) return wrongSize(before);
    // One size with two roots, be it that of the last cosigned head or of one that was only shown.
    if (contradicted) return refusal(422, 'another root was signed for this size');
    // A head that bears the new key has passed the boundary, and nothing larger or equal is the old key's to sign.
    if (before !== null && isOlderKey(signed.key, before.note, ledger))
      return refusal(403, 'the ledger has another key by now');
    if (!isConsistent(before, request, signed.checkpoint))
      return refusal(422, 'the ledger does not continue');
    const { note, answer } = cosign(signed, network.id);
    // Nothing leaves before this is durable; who lost a race is told where the winner stands.
    if (!store.advance(ledger.origin, request.sizeBefore, { size, root, note }))
      return wrongSize(store.head(ledger.origin));
    return answer;
  };

  const addCheckpoint = (body: Uint8Array): WitnessAnswer => {
    const network = options.network();
    const request = readOrNull(() => parseAddCheckpoint(body));
    if (request === null) return refusal(400, 'malformed request');
    const { text } = parseNote(request.checkpoint);
    const ledger = ledgersOf(network).get(text.slice(0, text.indexOf('\n')));
    if (ledger === undefined) return refusal(404, 'unknown origin');
    const key = signerAmong(ledger.keys, request.checkpoint);
    if (key === null) return refusal(403, 'no valid signature of this origin');
    const checkpoint = readOrNull(() => parseCheckpoint(text));
    if (checkpoint === null) {
      return isEmptyWithRoot(text)
        ? refusal(422, 'no leaves have another root')
        : refusal(400, 'malformed checkpoint');
    }
    const note = onlySignedBy(request.checkpoint, key);
    return decide(request, ledger, { checkpoint, text, note, key }, network);
  };

  return {
    addCheckpoint,
    seen: (question) => {
      const network = options.network();
      const { origin, nonce } = question;
      // To sign "none" about a ledger that it does not cosign would be a claim about nothing.
      if (!ledgersOf(network).has(origin) || nonce.length !== SEEN_NONCE_BYTES) return null;
      return signSeen(question, Buffer.from(store.head(origin)?.note ?? ''), signerIn(network.id));
    },
  };
}

/** Every ledger of the network but the witness's own: nobody cosigns for himself. */
function ledgersFor(network: Network, id: string): ReadonlyMap<string, Ledger> {
  const ledgers = new Map<string, Ledger>();
  for (const member of network.members.values()) {
    if (member.id === id || member.keys.log === undefined) continue;
    const origin = ledgerOrigin(network.id, member.id);
    const keys = logKeysOf(network, member.id).filter((past) => countsAt(past, null));
    ledgers.set(origin, { member: member.id, origin, keys: keys.map(({ key }) => key) });
  }
  return ledgers;
}

/** A network file changes rarely, and its keys cost time to read. */
function rememberLast<K extends object, V>(make: (key: K) => V): (key: K) => V {
  let last: { key: K; value: V } | null = null;
  return (key) => {
    if (last?.key !== key) last = { key, value: make(key) };
    return last.value;
  };
}

/** The newest of the ledger's keys that has signed; null where none has, or a signature of one is wrong. */
function signerAmong(keys: readonly NoteKey[], checkpoint: string): NoteKey | null {
  try {
    const signed = new Set(openNote(checkpoint, keys).verified.map(({ key }) => key));
    return keys.findLast((key) => signed.has(key)) ?? null;
  } catch (thrown) {
    if (thrown instanceof PhtError && ['signature.invalid', 'signer.unknown'].includes(thrown.code))
      return null;
    throw thrown;
  }
}

function isOlderKey(key: NoteKey, note: string, { keys }: Ledger): boolean {
  const before = signerAmong(keys, note);
  return before !== null && keys.indexOf(key) < keys.indexOf(before);
}

/** What a stranger wrote and does not parse; anything else that goes wrong is ours. */
function readOrNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof PhtError && thrown.code === 'ledger.invalid') return null;
    throw thrown;
  }
}

/** The one malformed checkpoint that tlog-witness gives a status of its own. */
function isEmptyWithRoot(text: string): boolean {
  const [origin = '', size = '', root = ''] = text.split('\n');
  if (size !== '0' || root === Buffer.from(EMPTY_ROOT).toString('base64')) return false;
  return readOrNull(() => parseCheckpoint(`${origin}\n1\n${root}\n`)) !== null;
}

function isConsistent(before: WitnessedHead | null, request: AddCheckpoint, next: Checkpoint): boolean {
  const { sizeBefore, hashes } = request;
  const { size, root } = next;
  try {
    verifyConsistency({ sizeBefore, rootBefore: before?.root ?? EMPTY_ROOT, size, root, hashes });
    return true;
  } catch (thrown) {
    if (thrown instanceof PhtError && ['ledger.inconsistent', 'ledger.invalid'].includes(thrown.code))
      return false;
    throw thrown;
  }
}

function wrongSize(head: WitnessedHead | null): WitnessAnswer {
  return { status: 409, contentType: SIZE_TYPE, body: formatSize(head?.size ?? 0) };
}

function refusal(status: number, why: string): WitnessAnswer {
  return { status, contentType: LINES_TYPE, body: Buffer.from(`${why}\n`) };
}
