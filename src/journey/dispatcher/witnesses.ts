import { randomBytes } from 'node:crypto';
import { PhtError } from '../../model/error.ts';
import { ledgerOrigin } from '../../model/ledger/origin.ts';
import { SEEN_NONCE_BYTES, type SeenAnswer, type SeenQuestion } from '../../model/ledger/seen.ts';
import type { Network } from '../../model/network.ts';
import type { WitnessAnswer, WitnessRelay } from '../../ports/witness.ts';
import { createWake, type Wake } from './wake.ts';

/** Questions to witnesses that cannot be dialled, and the way of their answers back. Verbatim: nothing is judged here. */

export const BODY_BYTES_MAX: number = 64 * 1024;

export type Question =
  | { readonly case: 'addCheckpoint'; readonly value: Uint8Array }
  | { readonly case: 'seen'; readonly value: SeenQuestion };

/** An answer with the signature of a witness that said what it has seen; without one it is empty. */
export type RelayedAnswer = WitnessAnswer & { signature: Uint8Array };

/** What the dispatcher's own witness answers, without any way. */
export type LocalWitness = {
  addCheckpoint(body: Uint8Array): WitnessAnswer;
  seen(question: SeenQuestion): SeenAnswer | null;
};

export interface Witnesses {
  /** @throws PhtError `witness.unreachable`, `quota.exceeded`, `input.too-large`, `input.malformed` */
  ask(caller: string, witness: string, question: Question, signal: AbortSignal): Promise<RelayedAnswer>;
  /** The questions to one witness for as long as it listens; null is a heartbeat. A newer one ends the older. */
  listen(witness: string, signal: AbortSignal): AsyncIterable<{ id: string; question: Question } | null>;
  /** @throws PhtError `not-found` for a question that is not open for this witness */
  answer(witness: string, id: string, answer: RelayedAnswer): void;
  /** The relay for this member's own ledger. */
  relayFor(member: string): WitnessRelay;
  /** Called whenever a witness has begun to listen. */
  onListening(heard: () => void): void;
}

export type WitnessesOptions = {
  /** The dispatcher's member id and its own witness, if it is one. */
  id: string;
  own: LocalWitness | null;
  network: () => Network;
  times?: Partial<typeof TIMES>;
};

const TIMES = {
  /** Below the 10 s for which callers wait, so that they learn what it was. */
  answerMs: 9_500,
  heartbeatMs: 10_000,
};
/** A ledger asks each of at most 64 witnesses one thing at a time, and perhaps again after a time-out. */
const OPEN_PER_CALLER_MAX = 256;
const OPEN_PER_CALLER_AND_WITNESS_MAX = 4;
const OPEN_PER_WITNESS_MAX = 1024;

type Open = {
  id: string;
  caller: string;
  question: Question;
  sent: boolean;
  settle(outcome: RelayedAnswer | PhtError): void;
};
/** One witness that listens. `turn` tells an older stream that it was replaced. */
type Listener = { turn: symbol; open: Map<string, Open> };

export function createWitnesses(options: WitnessesOptions): Witnesses {
  const { id: self, own, network } = options;
  const times = { ...TIMES, ...options.times };
  const listeners = new Map<string, Listener>();
  const openOf = new Map<string, number>();
  const wake: Wake = createWake();
  const heard = new Set<() => void>();

  const ask: Witnesses['ask'] = async (caller, witness, question, signal) => {
    assertQuestion(question);
    if (witness === self && own !== null) return answerLocally(own, question);
    const listener = listeners.get(witness);
    if (listener === undefined)
      throw unreachable(`${cleaned(witness)} is not connected to the dispatcher as a witness`);
    assertRoom(caller, listener);
    openOf.set(caller, (openOf.get(caller) ?? 0) + 1);
    try {
      return await asked(caller, witness, listener, question, signal);
    } finally {
      const left = (openOf.get(caller) ?? 1) - 1;
      if (left === 0) openOf.delete(caller);
      else openOf.set(caller, left);
    }
  };

  const assertRoom = (caller: string, { open }: Listener): void => {
    const toWitness = [...open.values()].filter((each) => each.caller === caller).length;
    const full = toWitness >= OPEN_PER_CALLER_AND_WITNESS_MAX || open.size >= OPEN_PER_WITNESS_MAX;
    if (full || (openOf.get(caller) ?? 0) >= OPEN_PER_CALLER_MAX)
      throw new PhtError('quota.exceeded', 'too many questions to witnesses are open');
  };

  const asked = (
    caller: string,
    witness: string,
    listener: Listener,
    question: Question,
    signal: AbortSignal,
  ): Promise<RelayedAnswer> =>
    new Promise((resolve, reject) => {
      // Nobody can guess it, and nobody but the one who was asked may use it.
      const id = randomBytes(16).toString('hex');
      const settle: Open['settle'] = (outcome) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', aborted);
        listener.open.delete(id);
        if (outcome instanceof PhtError) reject(outcome);
        else resolve(outcome);
      };
      const late = (): void => settle(unreachable(`${witness} did not answer in time`));
      const aborted = (): void => settle(new PhtError('cancelled', 'whoever asked does not wait any more'));
      const timer = setTimeout(late, times.answerMs);
      signal.addEventListener('abort', aborted, { once: true });
      listener.open.set(id, { id, caller, question, sent: false, settle });
      if (signal.aborted) aborted();
      wake.ring(witness);
    });

  /** What an older stream was asked and has not answered is asked again on the new one. */
  const takeOver = (witness: string): Listener => {
    const open = listeners.get(witness)?.open ?? new Map<string, Open>();
    for (const each of open.values()) each.sent = false;
    const listener = { turn: Symbol(witness), open };
    listeners.set(witness, listener);
    wake.ring(witness);
    for (const tell of heard) tell();
    return listener;
  };

  async function* listen(
    witness: string,
    signal: AbortSignal,
  ): AsyncGenerator<{ id: string; question: Question } | null> {
    const listener = takeOver(witness);
    const listening = wake.listen(witness);
    const isCurrent = (): boolean => listeners.get(witness) === listener;
    try {
      // At once, so that whoever listens knows that it is heard.
      yield null;
      while (isCurrent() && !signal.aborted) {
        const sequence = listening.sequence();
        const next = [...listener.open.values()].find(({ sent }) => !sent);
        if (next !== undefined) {
          next.sent = true;
          yield { id: next.id, question: next.question };
          continue;
        }
        await listening.beyond(sequence, times.heartbeatMs, signal);
        if (isCurrent() && listening.sequence() === sequence && !signal.aborted) yield null;
      }
    } finally {
      listening.close();
      if (isCurrent()) {
        listeners.delete(witness);
        for (const each of [...listener.open.values()])
          each.settle(unreachable(`${witness} has disconnected`));
      }
    }
  }

  const answer: Witnesses['answer'] = (witness, id, given) => {
    assertAnswer(given);
    const open = listeners.get(witness)?.open.get(id);
    if (open === undefined) throw new PhtError('not-found', 'nobody waits for an answer to that question');
    open.settle(given);
  };

  return {
    ask,
    listen,
    answer,
    relayFor: (member) => ({
      addCheckpoint: (witness, body, signal) =>
        ask(member, witness, { case: 'addCheckpoint', value: body }, signal),
      seen: async (witness, nonce, signal) => {
        // Only ever the caller's own ledger.
        const origin = ledgerOrigin(network().id, member);
        return seenIn(await ask(member, witness, { case: 'seen', value: { origin, nonce } }, signal));
      },
    }),
    onListening: (tell) => void heard.add(tell),
  };
}

/** An Ed25519 signature; whether it is one is for the asker to say. */
const SIGNATURE_BYTES_MAX = 64;
const LINES_TYPE = 'text/plain; charset=utf-8';

function answerLocally(own: LocalWitness, question: Question): RelayedAnswer {
  const none = new Uint8Array();
  if (question.case === 'addCheckpoint') return { ...own.addCheckpoint(question.value), signature: none };
  const seen = own.seen(question.value);
  const { note, signature } = seen ?? { note: none, signature: none };
  return { status: seen === null ? 404 : 200, contentType: LINES_TYPE, body: note, signature };
}

function seenIn({ status, body, signature }: RelayedAnswer): SeenAnswer {
  if (status !== 200) throw unreachable(`the witness could not say what it has seen (status ${status})`);
  return { note: body, signature };
}

/** @throws PhtError `input.too-large`, `input.malformed` */
function assertQuestion(question: Question): void {
  if (question.case === 'addCheckpoint' && question.value.length > BODY_BYTES_MAX)
    throw new PhtError('input.too-large', `a question to a witness has at most ${BODY_BYTES_MAX} bytes`);
  if (question.case === 'seen' && question.value.nonce.length !== SEEN_NONCE_BYTES)
    throw new PhtError('input.malformed', `a question on what was seen has ${SEEN_NONCE_BYTES} random bytes`);
}

/** @throws PhtError `input.too-large`, `input.malformed` */
function assertAnswer({ status, contentType, body, signature }: RelayedAnswer): void {
  if (body.length > BODY_BYTES_MAX || signature.length > SIGNATURE_BYTES_MAX)
    throw new PhtError('input.too-large', `an answer of a witness has at most ${BODY_BYTES_MAX} bytes`);
  if (status < 200 || status > 599 || !/^[\x20-\x7e]{0,100}$/.test(contentType))
    throw new PhtError('input.malformed', 'an answer has a status of 200 to 599 and a content type');
}

/** A name that a peer gave. */
const cleaned = (witness: string): string => witness.replaceAll(/[^a-z0-9.-]/g, '').slice(0, 64);

const unreachable = (message: string): PhtError => new PhtError('witness.unreachable', message);
