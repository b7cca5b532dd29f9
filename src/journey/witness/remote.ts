import type { ListenResponse, WitnessService } from '../../gen/pht/v1/witness_pb.ts';
import { asPhtError, type ErrorCode } from '../../model/error.ts';
import { LINES_TYPE } from '../../model/ledger/add-checkpoint.ts';
import type { SeenAnswer } from '../../model/ledger/seen.ts';
import type { Client } from '../../ports/wire.ts';
import type { WitnessAnswer, WitnessRelay } from '../../ports/witness.ts';
import type { Witness } from './witness.ts';

const CALL_DEADLINE_MS = 10_000;
/** Answers on their way at once; further questions wait in the stream. */
const ANSWERS_MAX = 16;
/** The asker gave up meanwhile, or asks again: no reason to give up the stream. */
const NOBODY_WAITS: ReadonlySet<ErrorCode> = new Set(['not-found', 'timed-out']);

type Witnesses = Client<typeof WitnessService>;

/** Asks the witnesses of the network through the dispatcher, which passes bodies and status codes verbatim. */
export function remoteRelay(client: Witnesses): WitnessRelay {
  return {
    addCheckpoint: async (witness, body, signal) => {
      const answer = await client.addCheckpoint({ witness, body }, { deadlineMs: CALL_DEADLINE_MS, signal });
      return { status: answer.status, contentType: answer.contentType, body: answer.body };
    },
    seen: async (witness, nonce, signal) => {
      const answer = await client.seen({ witness, nonce }, { deadlineMs: CALL_DEADLINE_MS, signal });
      return { note: answer.note, signature: answer.signature };
    },
  };
}

/**
 * Answers what is asked of this witness for as long as the stream lasts; the caller reconnects. A question about what was
 * seen is answered with status 200, the note (empty for none) and the witness's signature over both, or with status 404;
 * one that this witness fails at with status 500.
 *
 * @returns when the stream ends
 * @throws PhtError whatever ends the stream or keeps an answer from getting through
 */
export async function listenAsWitness(
  client: Witnesses,
  witness: Witness,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const answering = new Set<Promise<void>>();
  const failed: { thrown: unknown }[] = [];

  const answer = async (questionId: string, given: Given['answer']): Promise<void> => {
    try {
      await client.answer({ questionId, ...given }, { deadlineMs: CALL_DEADLINE_MS, signal: either });
    } catch (thrown) {
      if (NOBODY_WAITS.has(asPhtError(thrown).code)) return;
      failed.push({ thrown });
      over.abort(thrown);
    }
  };

  try {
    for await (const question of client.listen({}, { signal: either })) {
      const given = answerTo(question, witness);
      if (given === null) continue;
      const sent = answer(question.questionId, given.answer).finally(() => answering.delete(sent));
      answering.add(sent);
      if (given.failure !== null) throw given.failure.thrown;
      if (answering.size >= ANSWERS_MAX) await Promise.race(answering);
    }
    await Promise.all(answering);
  } catch (thrown) {
    throw failed[0] === undefined ? thrown : failed[0].thrown;
  } finally {
    await Promise.all(answering);
    over.abort();
  }
  if (failed[0] !== undefined) throw failed[0].thrown;
}

type Given = { answer: WitnessAnswer & { signature?: Uint8Array }; failure: { thrown: unknown } | null };

/** @returns null for a heartbeat */
function answerTo({ question }: ListenResponse, witness: Witness): Given | null {
  try {
    switch (question.case) {
      case 'addCheckpoint':
        return { answer: witness.addCheckpoint(question.value), failure: null };
      case 'seen':
        return { answer: signedAnswer(witness.seen(question.value)), failure: null };
      default:
        return null;
    }
  } catch (thrown) {
    // The asker need not wait, and whoever runs this witness has to know.
    return { answer: lines(500, new Uint8Array()), failure: { thrown } };
  }
}

function signedAnswer(seen: SeenAnswer | null): Given['answer'] {
  if (seen === null) return lines(404, new Uint8Array());
  return { ...lines(200, seen.note), signature: seen.signature };
}

function lines(status: number, body: Uint8Array): WitnessAnswer {
  return { status, contentType: LINES_TYPE, body };
}
