import { asPhtError, PhtError } from '../../model/error.ts';
import { NOTE_SIGNATURES_MAX, type NoteSignature } from '../../model/ledger/note.ts';
import type { Network } from '../../model/network.ts';
import { inForce, isKey } from '../../model/past-keys.ts';
import { type QuorumRule, quorumRule } from '../../model/witnessing.ts';
import type { Ledger, SignedHead } from '../../ports/ledger.ts';
import type { WitnessRelay } from '../../ports/witness.ts';
import { type Asked, ask } from './ask.ts';
import { isOutOfReach, reasonOf, within } from './within.ts';

const CALL_MS = 10_000;
/** The ledger's own signature takes one of the places that readers of signed notes have to offer. */
const LINES_MAX = NOTE_SIGNATURES_MAX - 1;

/** Gathers the cosignatures that one's own ledger needs before its newest checkpoint may be shown. */
export type Gatherer = {
  /**
   * Asks every witness to cosign the newest signed checkpoint and publishes it as soon as enough of them have; who is
   * slower finishes in the background and is published too. A round for a checkpoint that is published already brings
   * younger cosignatures. Resolves at once where the network has no quorum or nothing is signed yet.
   *
   * @throws PhtError `witness.unreachable` with the names of the missing and, as its reasons, what came of asking them
   */
  round(signal: AbortSignal): Promise<void>;
  /** Members whose cosignature the newest checkpoint still waits for; none once it is published. */
  waitingFor(): string[];
};

export type GathererOptions = {
  /** The member whose ledger it is. */
  member: string;
  network: () => Network;
  ledger: Ledger;
  relay: WitnessRelay;
  /** A line for whoever runs this, with details. */
  note: (text: string, details: Readonly<Record<string, unknown>>) => void;
  /** Told whenever a witness contradicts this ledger. */
  contradicted?: () => void;
  /** How long one call may take, in milliseconds; 10 s. */
  callMs?: number;
};

type Cosigner = QuorumRule['witnesses'][number];
/** What has come in for one checkpoint. */
type Collected = { head: SignedHead; lines: Map<string, NoteSignature>; publish: () => Promise<void> };
/** What came of asking one witness: null for a cosignature, otherwise why there is none. */
type Missing = string | null;

export function createGatherer(options: GathererOptions): Gatherer {
  const { member, ledger, relay, note, callMs = CALL_MS } = options;
  const sizes = new Map<string, number>();
  const complaints = new Map<string, string>();
  const turns = new Map<string, Promise<unknown>>();
  let newest: Collected | null = null;

  const collectedFor = (head: SignedHead): Collected => {
    if (newest !== null && newest.head.size === head.size) return newest;
    const lines: Collected['lines'] = new Map();
    const publish = oneAtATime(() => ledger.publish(head.size, [...lines.values()].slice(-LINES_MAX)));
    newest = { head, lines, publish };
    return newest;
  };

  /** Not every round anew: a lying witness would fill the log. */
  const complain = (witness: string, text: string, details: Readonly<Record<string, unknown>>): void => {
    const said = `${text} ${String(details['code'])}`;
    if (complaints.get(witness) === said) return;
    complaints.set(witness, said);
    note(text, { witness, ...details });
  };

  /** Loud, but no more than that: whether it is true is for whoever asks anew, where it takes our own signature. */
  const contradicted = (witness: string, said: Asked): void => {
    options.contradicted?.();
    complain(
      witness,
      'a witness says that this ledger is not what it has cosigned: an old copy was restored, it runs twice, or the witness lies',
      { code: 'ledger.inconsistent', said },
    );
  };

  const judge = (witness: string, { head, lines }: Collected, said: Asked): Missing => {
    switch (said.kind) {
      case 'cosigned':
        sizes.set(witness, head.size);
        complaints.delete(witness);
        // Younger ones last, since those are kept where there are too many.
        lines.delete(witness);
        lines.set(witness, said.line);
        return null;
      case 'ahead':
        // One's own later round may have been faster.
        if (said.size <= (ledger.checkpoint()?.size ?? 0)) return 'it has cosigned a later checkpoint';
        contradicted(witness, said);
        return `it says that it has cosigned ${said.size} entries of the ${head.size} there are`;
      case 'contradicted':
        sizes.delete(witness);
        contradicted(witness, said);
        return 'it says that the ledger contradicts what it has cosigned';
      case 'refused':
        sizes.delete(witness);
        return said.why;
    }
  };

  const askOne = async (
    { member: witness, keys }: Cosigner,
    collected: Collected,
    signal: AbortSignal,
  ): Promise<Missing> => {
    const { head } = collected;
    if (signal.aborted) return reasonOf(signal).message;
    // It waited for its turn behind a slow call, and by now there is something newer to ask.
    if (newest !== collected) return 'a later checkpoint took its place';
    const send = (body: Uint8Array) =>
      within(callMs, signal, (either) => relay.addCheckpoint(witness, body, either));
    const sizeBefore = Math.min(sizes.get(witness) ?? 0, head.size);
    try {
      return judge(
        witness,
        collected,
        await ask({ keys: inForce(keys), head, tree: ledger.tree, sizeBefore, send }),
      );
    } catch (thrown) {
      const error = asPhtError(thrown);
      if (!isOutOfReach(error))
        complain(witness, 'a witness could not be asked', { code: error.code, err: thrown });
      return error.message;
    }
  };

  /** One call to each witness at a time, however many rounds begin meanwhile. */
  const inTurn = (cosigner: Cosigner, collected: Collected, signal: AbortSignal): Promise<Missing> => {
    const next = () => askOne(cosigner, collected, signal);
    const turn = (turns.get(cosigner.member) ?? Promise.resolve()).then(next, next);
    turns.set(cosigner.member, turn);
    return turn;
  };

  const round = async (signal: AbortSignal): Promise<void> => {
    const policy = quorumRule(options.network(), member);
    const head = ledger.checkpoint();
    if (head === null) return;
    // What waited for a quorum that the network has given up since waits for nobody any more.
    if (policy === null)
      return (ledger.published()?.size ?? -1) < head.size ? ledger.publish(head.size, []) : undefined;
    const collected = collectedFor(head);
    keepOnly(collected.lines, policy);
    const complete = collected.lines.size >= policy.quorum;
    const renewal = complete && (ledger.published()?.size ?? -1) >= head.size;
    // Gathered before, but the disk refused it.
    if (complete && !renewal) return collected.publish();
    const missing = new Map<string, string>();
    let fresh = 0;
    const enough = (): boolean => (renewal ? fresh : collected.lines.size) >= policy.quorum;
    const overtaken = (): boolean => !renewal && (ledger.published()?.size ?? -1) > head.size;

    await untilAborted(signal, (resolve, reject) => {
      const asked = policy.witnesses.map(async (cosigner) => {
        const why = await inTurn(cosigner, collected, signal);
        if (why === null) fresh += 1;
        else missing.set(cosigner.member, why);
        if (why !== null || !enough()) return;
        // At the quorum, and again for each that comes later.
        await collected.publish();
        resolve();
      });
      const ended = async (): Promise<void> => {
        await Promise.all(asked);
        if (!enough() && !overtaken()) throw unreachable(policy, missing);
      };
      ended().then(resolve, (thrown: unknown) => {
        const { code } = asPhtError(thrown);
        // Nobody may be waiting any more for what fails in the background.
        if (code !== 'witness.unreachable')
          note('the cosigned checkpoint could not be published', { code, err: thrown });
        reject(thrown);
      });
    });
  };

  return {
    round,
    waitingFor: () => {
      const policy = quorumRule(options.network(), member);
      const head = ledger.checkpoint();
      if (policy === null || head === null || (ledger.published()?.size ?? -1) >= head.size) return [];
      const have = newest?.head.size === head.size ? newest.lines : new Map<string, unknown>();
      return policy.witnesses.map(({ member: witness }) => witness).filter((witness) => !have.has(witness));
    },
  };
}

/** Cosignatures of a witness that was revoked, or whose key is in other hands, count no more. */
function keepOnly(lines: Collected['lines'], { witnesses }: QuorumRule): void {
  for (const [witness, line] of lines) {
    const keys = inForce(witnesses.find(({ member }) => member === witness)?.keys ?? []);
    if (!keys.some((key) => isKey(line, key))) lines.delete(witness);
  }
}

function unreachable({ quorum, witnesses }: QuorumRule, missing: ReadonlyMap<string, string>): PhtError {
  const names = witnesses.map(({ member }) => member).filter((member) => missing.has(member));
  return new PhtError(
    'witness.unreachable',
    `the ledger's newest checkpoint needs ${quorum} of ${witnesses.length} cosignatures; missing: ${names.join(', ')}`,
    {
      hint: 'nothing is lost: it is tried again, and what waits for it waits sealed',
      reasons: names.map((name) => `${name}: ${missing.get(name) ?? ''}`),
    },
  );
}

/** Calls that come while `work` runs share the one run that follows it. */
function oneAtATime(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | null = null;
  let following: Promise<void> | null = null;
  const start = (): Promise<void> => {
    const run = work().finally(() => {
      running = null;
    });
    running = run;
    return run;
  };
  return () => {
    if (running === null) return start();
    const next = (): Promise<void> => {
      following = null;
      return start();
    };
    following ??= running.then(next, next);
    return following;
  };
}

/** A promise that an abort rejects; what goes on behind it ends by itself. */
async function untilAborted(
  signal: AbortSignal,
  begin: (resolve: () => void, reject: (thrown: unknown) => void) => void,
): Promise<void> {
  if (signal.aborted) throw reasonOf(signal);
  let onAbort = (): void => undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      onAbort = () => reject(reasonOf(signal));
      signal.addEventListener('abort', onAbort, { once: true });
      begin(resolve, reject);
    });
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
