import type { WitnessService } from '../../gen/pht/v1/witness_pb.ts';
import { PhtError } from '../../model/error.ts';
import type { Member } from '../../model/network.ts';
import type { CallContext, Service } from '../../ports/wire.ts';
import { callerOf } from './desk.ts';
import type { Witnesses } from './witnesses.ts';

/** Witnesses listen on a stream that they opened; ledgers ask them through the dispatcher. */
export function witnessService(witnesses: Witnesses): Service<typeof WitnessService> {
  return {
    addCheckpoint: async ({ witness, body }, context) => {
      const caller = callerOf(context, 'station').id;
      const answer = await witnesses.relayFor(caller).addCheckpoint(witness, body, context.signal);
      return { status: answer.status, contentType: answer.contentType, body: answer.body };
    },
    seen: async ({ witness, nonce }, context) => {
      const caller = callerOf(context, 'station').id;
      const { note, signature } = await witnesses.relayFor(caller).seen(witness, nonce, context.signal);
      return { note, signature };
    },
    listen: async function* (_request, context) {
      const { id } = witnessOf(context);
      for await (const asked of witnesses.listen(id, context.signal)) {
        if (asked === null) yield {};
        else yield { questionId: asked.id, question: asked.question };
      }
    },
    answer: async ({ questionId, status, contentType, body, signature }, context) => {
      witnesses.answer(witnessOf(context).id, questionId, { status, contentType, body, signature });
      return {};
    },
  };
}

function witnessOf(context: CallContext): Member {
  const caller = callerOf(context, 'station', 'auditor');
  if (caller.keys.witness !== undefined) return caller;
  throw new PhtError('forbidden', 'the network file names no witness key of this member');
}
