import type { Policy } from '../../ports/policy.ts';
import type { ReplayDecision } from '../../ports/replay.ts';
import { openPolicy } from './cedar.ts';
import { parseFacts } from './given-facts.ts';

/** Past decisions come in rows of one policy, and preparing a large one takes a second. */
let last: Policy | undefined;

/** What a station wrote is outside input to whoever replays it. */
export const replayDecision: ReplayDecision = (policyText, request) => {
  if (last?.text !== policyText) last = openPolicy(Buffer.from(policyText));
  return last.decide(parseFacts(request));
};
