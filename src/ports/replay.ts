import type { PolicyAnswer } from './policy.ts';

/**
 * Makes a station's decision again, from the policy text and the request that it archived, exactly as the station did.
 * Two answers are the same when their canonical JSON is.
 *
 * @param request canonical JSON of the facts, as the station committed to them
 * @throws PhtError `policy.error` for a policy that no station would load, `input.malformed` or `input.too-large` for a
 *   request that is none
 */
export type ReplayDecision = (policyText: string, request: string) => PolicyAnswer;
