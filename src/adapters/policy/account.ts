import { digestOf } from '../../model/id.ts';
import type { PolicyAnswer, PolicyFacts } from '../../ports/policy.ts';
import { type Action, oneLine } from './annotations.ts';
import { openPolicy, soundRules } from './cedar.ts';
import { clauseShown, factsNamed } from './explain.ts';
import { type Request, requestOf, shown } from './facts.ts';
import { type Probed, type Probes, prepareProbes, probe } from './probes.ts';
import type { Rule } from './rules.ts';
import { isFor, listsOf } from './scope.ts';
import { written } from './text.ts';

/** A whole policy held against the facts of one train: each rule, each of its parts, and the value here. */

export type PartState = 'met' | 'not-met' | 'error';

/**
 * `kind` `principal` and `resource` are what the rule is for; `text` is as written. `error`: it could not be evaluated
 * by itself, with why; where a part before it is not met, Cedar never comes to it.
 */
export type PartAccount = {
  kind: 'principal' | 'resource' | 'when' | 'unless';
  text: string;
  state: PartState;
  here: string[];
  error?: string;
};

/** `applies`: every part is met. */
export type RuleAccount = {
  id: string;
  effect: 'permit' | 'forbid';
  line: number;
  explain: string | null;
  actions: readonly Action[];
  approvals: 1 | 2;
  applies: boolean;
  parts: PartAccount[];
};

export type PolicyAccount = { policyDigest: string; answer: PolicyAnswer; rules: RuleAccount[] };

/** @throws PhtError `policy.error` for a policy that is not sound, or facts that do not fit the schema */
export function accountOf(policy: Uint8Array, facts: PolicyFacts): PolicyAccount {
  const { decide, digest } = openPolicy(policy);
  const rules = soundRules(policy);
  const probes = prepareProbes(`account:${digestOf(policy)}`, rules);
  const request = requestOf(facts);
  const probed = probe(probes, 'Run', request);
  const approved = probes.asksForAction ? probe(probes, 'RunIfApproved', request) : probed;
  const each = rules.map((rule, at) => {
    const about = rule.actions.includes('Run') ? probed : approved;
    return ruleAccount(rule, probes.ids[at], about, request);
  });
  return { policyDigest: digest, answer: decide(facts), rules: each };
}

function ruleAccount(
  rule: Rule,
  ids: Probes['ids'][number] | undefined,
  probed: Probed,
  request: Request,
): RuleAccount {
  const { id, effect, line, explain, actions, approvals, scope, clauses } = rule;
  const limits = (['principal', 'resource'] as const).flatMap((kind): PartAccount[] => {
    if (scope[kind] === kind) return [];
    const entity = request[kind];
    const lists = kind === 'principal' ? `, ${listsOf(entity, request)}` : '';
    const here = [`${kind} is ${shown({ __entity: entity })}${lists}`];
    const state = isFor(rule, kind, request) ? 'met' : 'not-met';
    return [{ kind, text: clauseShown(scope[kind]), here, state }];
  });
  const conditions = clauses.map(({ kind, tokens }, at): PartAccount => {
    const here = factsNamed(tokens, request);
    return { kind, text: clauseShown(written(tokens)), here, ...stateOf(ids?.[at] ?? '', probed) };
  });
  const parts = [...limits, ...conditions];
  const applies = parts.every(({ state }) => state === 'met');
  return { id, effect, line, explain: explain ?? null, actions, approvals, applies, parts };
}

function stateOf(id: string, { met, errors }: Probed): Pick<PartAccount, 'state' | 'error'> {
  const error = errors.get(id);
  if (error !== undefined) return { state: 'error', error: oneLine(error) };
  return { state: met.has(id) ? 'met' : 'not-met' };
}
