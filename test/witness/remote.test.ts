import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type AnswerRequest,
  AnswerRequestSchema,
  type ListenResponse,
  ListenResponseSchema,
  SeenQuestionSchema,
  type WitnessService,
} from '../../src/gen/pht/v1/witness_pb.ts';
import { createGatherer } from '../../src/journey/witness/gather.ts';
import { listenAsWitness, remoteRelay } from '../../src/journey/witness/remote.ts';
import type { Witness } from '../../src/journey/witness/witness.ts';
import { PhtError } from '../../src/model/error.ts';
import { verifySeen } from '../../src/model/ledger/seen.ts';
import type { Client } from '../../src/ports/wire.ts';
import { cosignersOf, makeRig, originOf, type Rig, witnessKeyOf } from './rig.ts';

type Witnesses = Client<typeof WitnessService>;

let rig: Rig;
beforeEach(async () => {
  rig = await makeRig();
});
afterEach(() => rig.close());

const never = new AbortController().signal;
const unused = () => {
  throw new Error('not called here');
};

function question(questionId: string, asked: ListenResponse['question']): ListenResponse {
  return create(ListenResponseSchema, { questionId, question: asked });
}

const NONCE = Buffer.alloc(32, 7);

function seenQuestion(origin: string, nonce: Uint8Array = NONCE): ListenResponse['question'] {
  return { case: 'seen', value: create(SeenQuestionSchema, { origin, nonce }) };
}

/** A dispatcher that asks these questions and keeps the answers. */
function asking(
  questions: (signal: AbortSignal | undefined) => AsyncIterable<ListenResponse>,
  answers: AnswerRequest[] = [],
): Witnesses {
  return {
    addCheckpoint: unused,
    seen: unused,
    listen: (_, options) => questions(options?.signal),
    answer: async (answer) => {
      answers.push(create(AnswerRequestSchema, answer));
      return { $typeName: 'pht.v1.AnswerResponse' };
    },
  };
}

async function* listed(...questions: ListenResponse[]): AsyncGenerator<ListenResponse> {
  yield* questions;
}

async function* untilAborted(signal: AbortSignal | undefined, ...first: ListenResponse[]) {
  yield* first;
  await new Promise<never>((_, reject) => {
    if (signal?.aborted === true) reject(signal.reason);
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

async function thrownBy(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
}

describe('a witness that listens', () => {
  test('answers each question through its own call and takes a heartbeat for what it is', async () => {
    const { witness } = rig.home('mid');
    const answers: AnswerRequest[] = [];
    const origin = originOf(rig.fake, 'north');
    const questions = listed(
      question('', { case: undefined }),
      question('q1', { case: 'addCheckpoint', value: Buffer.from('garbage') }),
      question('q2', seenQuestion(origin)),
      question('q3', seenQuestion('elsewhere')),
    );
    await listenAsWitness(
      asking(() => questions, answers),
      witness,
      never,
    );
    expect(answers.map(({ questionId, status, contentType }) => [questionId, status, contentType])).toEqual([
      ['q1', 400, 'text/plain; charset=utf-8'],
      ['q2', 200, 'text/plain; charset=utf-8'],
      ['q3', 404, 'text/plain; charset=utf-8'],
    ]);
    expect(answers[1]?.body).toHaveLength(0);
    const answer = { note: answers[1]?.body ?? NONCE, signature: answers[1]?.signature ?? NONCE };
    verifySeen({ origin, nonce: NONCE }, answer, witnessKeyOf(rig.fake, 'mid'));
    expect(answers[2]?.signature, 'of a ledger that it does not know it signs nothing').toHaveLength(0);
  });

  test('a round over the relay, from one member’s ledger to the other’s witness and back', async () => {
    const north = rig.home('north');
    const pending = new Map<string, (answer: AnswerRequest) => void>();
    const stop = new AbortController();
    let serial = 0;
    const mailboxes = new Map<
      string,
      { put(question: ListenResponse): void; questions(): AsyncIterable<ListenResponse> }
    >();
    const mailbox = (id: string) => {
      const found = mailboxes.get(id) ?? createMailbox(stop.signal);
      mailboxes.set(id, found);
      return found;
    };
    const dispatcher = (self: string): Witnesses => {
      const ask = (id: string, asked: ListenResponse['question']) =>
        new Promise<AnswerRequest>((resolve) => {
          const questionId = `q${serial++}`;
          pending.set(questionId, resolve);
          mailbox(id).put(question(questionId, asked));
        });
      return {
        addCheckpoint: async ({ witness = '', body = new Uint8Array() }) => {
          const answer = await ask(witness, { case: 'addCheckpoint', value: body });
          return { ...answer, $typeName: 'pht.v1.AddCheckpointResponse' };
        },
        seen: async ({ witness = '', nonce = new Uint8Array() }) => {
          const { body, signature } = await ask(witness, seenQuestion(originOf(rig.fake, self), nonce));
          return { note: body, signature, $typeName: 'pht.v1.SeenResponse' };
        },
        listen: () => mailbox(self).questions(),
        answer: async (answer) => {
          pending.get(answer.questionId ?? '')?.(create(AnswerRequestSchema, answer));
          return { $typeName: 'pht.v1.AnswerResponse' };
        },
      };
    };
    const others = ['dispatcher', 'east', 'mid', 'south', 'west'];
    const listening = others.map((id) => listenAsWitness(dispatcher(id), rig.home(id).witness, stop.signal));
    const relay = remoteRelay(dispatcher('north'));
    expect((await relay.seen('mid', NONCE, never)).note).toHaveLength(0);
    for (let round = 0; round < 3; round++) {
      await north.grow(5);
      await createGatherer({
        member: 'north',
        network: () => rig.network,
        ledger: north.ledger,
        relay,
        note: () => undefined,
      }).round(never);
    }
    expect(north.ledger.published()?.size).toBe(15);
    await expect.poll(() => cosignersOf(rig.fake, north.ledger.published()?.text ?? '')).toEqual(others);
    const seen = await relay.seen('mid', NONCE, never);
    verifySeen({ origin: originOf(rig.fake, 'north'), nonce: NONCE }, seen, witnessKeyOf(rig.fake, 'mid'));
    expect(cosignersOf(rig.fake, seen.note)).toEqual(['mid']);
    stop.abort();
    await Promise.allSettled(listening);
  });

  test('a broken stream is thrown', async () => {
    const broken = new PhtError('unreachable', 'the track is broken');
    const questions = async function* (): AsyncGenerator<ListenResponse> {
      yield question('', { case: undefined });
      throw broken;
    };
    expect(await thrownBy(listenAsWitness(asking(questions), rig.home('mid').witness, never))).toBe(broken);
  });

  test('an abort ends it', async () => {
    const stop = new AbortController();
    const listening = thrownBy(
      listenAsWitness(
        asking((signal) => untilAborted(signal)),
        rig.home('mid').witness,
        stop.signal,
      ),
    );
    stop.abort(new PhtError('cancelled', 'the station stops'));
    expect(await listening).toMatchObject({ message: 'the station stops' });
  });

  test('an answer that does not get through ends the stream; one that nobody waits for does not', async () => {
    const { witness } = rig.home('mid');
    const seen = question('q1', seenQuestion('x'));
    for (const code of ['not-found', 'timed-out'] as const) {
      const late: Witnesses = {
        ...asking(() => listed(seen, seen)),
        answer: async () => {
          throw new PhtError(code, 'nobody waits');
        },
      };
      await listenAsWitness(late, witness, never);
    }
    const refused = new PhtError('forbidden', 'not the witness that was asked');
    const refusing: Witnesses = {
      ...asking((signal) => untilAborted(signal, seen)),
      answer: async () => {
        throw refused;
      },
    };
    expect(await thrownBy(listenAsWitness(refusing, witness, never))).toBe(refused);
  });

  test('a witness that fails says so to the asker, and to whoever runs it', async () => {
    const full = new Error('the disk is full');
    const broken: Witness = {
      addCheckpoint: () => {
        throw full;
      },
      seen: () => null,
    };
    const answers: AnswerRequest[] = [];
    const asked = question('q1', { case: 'addCheckpoint', value: Buffer.from('x') });
    const client = asking((signal) => untilAborted(signal, asked), answers);
    expect(await thrownBy(listenAsWitness(client, broken, never))).toBe(full);
    expect(answers).toMatchObject([{ questionId: 'q1', status: 500 }]);
  });

  test('no more than sixteen answers are on their way at once', async () => {
    let most = 0;
    let now = 0;
    const seen = Array.from({ length: 60 }, (_, n) => question(`q${n}`, seenQuestion('x')));
    const slow: Witnesses = {
      ...asking(() => listed(...seen)),
      answer: async () => {
        now += 1;
        most = Math.max(most, now);
        await new Promise((resolve) => setTimeout(resolve, 1));
        now -= 1;
        return { $typeName: 'pht.v1.AnswerResponse' };
      },
    };
    await listenAsWitness(slow, rig.home('mid').witness, never);
    expect(most).toBe(16);
    expect(now, 'none is left behind').toBe(0);
  });
});

function createMailbox(signal: AbortSignal) {
  const waiting: ListenResponse[] = [];
  let wake = (): void => undefined;
  signal.addEventListener('abort', () => wake());
  return {
    put: (next: ListenResponse) => {
      waiting.push(next);
      wake();
    },
    questions: async function* (): AsyncGenerator<ListenResponse> {
      while (!signal.aborted) {
        const next = waiting.shift();
        if (next === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        } else yield next;
      }
    },
  };
}
