import { parseAnswer, parseFacts } from '../adapters/policy/given-facts.ts';
import type { AdminService, DecisionsResponse } from '../gen/pht/v1/admin_pb.ts';
import { PhtError } from '../model/error.ts';
import type { PolicyAnswer, PolicyFacts } from '../ports/policy.ts';
import type { Client } from '../ports/wire.ts';

/** Past decisions as the running agent has them in its archive. */

const DEADLINE_MS = 120_000;

/** `made`: null where an erasure, or a restored backup, took what it was made from. */
export type PastDecision = {
  hopId: string;
  trainId: string;
  decidedAtMs: number;
  policyDigest: string;
  made: { facts: PolicyFacts; answer: PolicyAnswer } | null;
};

/** @throws PhtError as the agent answers; `input.malformed` for facts or an answer that are none */
export async function* decisionsOf(
  agent: Client<typeof AdminService>,
  request: { hopId?: string; decisionsMax: number },
): AsyncGenerator<PastDecision & { policy: string }> {
  for await (const each of agent.decisions(request, { deadlineMs: DEADLINE_MS })) yield read(each);
}

function read(decision: DecisionsResponse): PastDecision & { policy: string } {
  const { hopId, trainId, decidedAtMs, policyDigest, policy, request, answer } = decision;
  const told = { hopId, trainId, decidedAtMs: Number(decidedAtMs), policyDigest, policy };
  if (request.byteLength === 0 || answer.byteLength === 0) return { ...told, made: null };
  try {
    return { ...told, made: { facts: parseFacts(request), answer: parseAnswer(answer) } };
  } catch (cause) {
    if (!(cause instanceof PhtError)) throw cause;
    throw new PhtError(cause.code, `the decision about ${hopId}: ${cause.message}`, { cause });
  }
}
