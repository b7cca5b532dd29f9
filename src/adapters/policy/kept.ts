import type { CheckParseAnswer, Response } from '@cedar-policy/cedar-wasm/nodejs';
import { PhtError } from '../../model/error.ts';
import type { Action } from './annotations.ts';
import { cedar } from './engine.ts';
import type { Request } from './facts.ts';
import { policySchema } from './schema.ts';

/** Sets of rules that Cedar keeps parsed, under names of their content: its cache is global and never freed. */

export function keepSchema(): void {
  const { name, text } = policySchema();
  assertDone(cedar().preparseSchema(name, text));
}

/** @throws PhtError `policy.error` */
export function keep(name: string, policies: Readonly<Record<string, string>>): void {
  assertDone(cedar().preparsePolicySet(name, { staticPolicies: { ...policies } }));
}

function assertDone(answer: CheckParseAnswer): void {
  if (answer.type === 'success') return;
  const detail = answer.errors[0]?.message ?? 'unknown';
  throw new PhtError('policy.error', `the policy cannot be prepared: ${detail}`);
}

/** One evaluation of a set that was kept. @throws PhtError `policy.error` */
export function asked(set: string, action: Action, request: Request): Response {
  const answer = cedar().statefulIsAuthorized({
    ...request,
    action: { type: 'Action', id: action },
    preparsedPolicySetId: set,
    preparsedSchemaName: policySchema().name,
    validateRequest: true,
  });
  if (answer.type === 'success') return answer.response;
  const detail = answer.errors[0]?.message ?? 'unknown';
  throw new PhtError('policy.error', `the facts of this train do not fit the policy's schema: ${detail}`);
}
