import { isDeepStrictEqual } from 'node:util';
import type { Response } from '@cedar-policy/cedar-wasm/nodejs';
import { PhtError } from '../../model/error.ts';
import type { Action } from './annotations.ts';
import { cedar } from './engine.ts';
import type { Request } from './facts.ts';
import { asked, keep, keepSchema } from './kept.ts';
import { asksForAction, type Probes, prepareProbes } from './probes.ts';
import { policySetOf, type Rule } from './rules.ts';

/**
 * A policy that Cedar has parsed beforehand. Cedar answers one action at a time; here both are asked at once, in a set
 * whose rules stand for any action, and each rule's own actions are put back on what comes out. So a decision costs one
 * evaluation. A policy that asks for `action` in a clause is asked twice.
 */
export type Prepared = {
  rules: readonly Rule[];
  byId: ReadonlyMap<string, Rule>;
  permits: readonly Rule[];
  /** Of the rules as written, and of the same for any action; the second is empty where `action` is asked for. */
  names: { written: string; merged: string };
  probes: Probes;
};

/** Ids of the rules that applied, of both actions; forbids hide what was permitted. */
export type Evaluated = {
  errors: { rule: string; message: string }[];
  forbids: string[];
  permits: Readonly<Record<Action, string[]>>;
};

/** @param digest of the policy text: Cedar's cache is global and never freed, so that names are of content */
export function preparePolicy(digest: string, rules: readonly Rule[]): Prepared {
  keepSchema();
  const asks = rules.some(asksForAction);
  const names = { written: `policy:${digest}`, merged: asks ? '' : `merged:${digest}` };
  keep(names.written, policySetOf(rules));
  if (!asks) keep(names.merged, Object.fromEntries(rules.map((rule) => [rule.id, forAnyAction(rule)])));
  const permits = rules.filter(({ effect }) => effect === 'permit');
  const byId = new Map(rules.map((rule) => [rule.id, rule]));
  return { rules, byId, permits, names, probes: prepareProbes(`probes:${digest}`, permits) };
}

/** @throws PhtError `policy.error` for facts that do not fit the schema */
export function evaluate({ names, byId }: Prepared, request: Request): Evaluated {
  if (names.merged !== '') {
    const { decision, diagnostics } = asked(names.merged, 'Run', request);
    const permits = decision === 'allow' ? diagnostics.reason : [];
    const of = (action: Action): string[] => permits.filter((id) => byId.get(id)?.actions.includes(action));
    return {
      errors: errorsIn(diagnostics),
      forbids: decision === 'deny' ? diagnostics.reason : [],
      permits: { Run: of('Run'), RunIfApproved: of('RunIfApproved') },
    };
  }
  return evaluateTwice(names, request);
}

/** Action by action over the rules as they were written: what `evaluate` has to agree with. */
export function evaluateTwice({ written }: Prepared['names'], request: Request): Evaluated {
  const run = asked(written, 'Run', request);
  const approved = asked(written, 'RunIfApproved', request);
  const of = (decision: Response['decision'], { decision: is, diagnostics }: Response): string[] =>
    is === decision ? diagnostics.reason : [];
  return {
    errors: [...errorsIn(run.diagnostics), ...errorsIn(approved.diagnostics)],
    // Cedar gives rules with a deny only where a forbid applied.
    forbids: [...of('deny', run), ...of('deny', approved)],
    permits: { Run: of('allow', run), RunIfApproved: of('allow', approved) },
  };
}

function errorsIn({ errors }: Response['diagnostics']): Evaluated['errors'] {
  return errors.map(({ policyId, error }) => ({ rule: policyId, message: error.message }));
}

/** The rule without its action, as Cedar itself reads it: everything else must be the same. */
function forAnyAction(rule: Rule): string {
  const { effect, scope, afterScope } = rule;
  const text = `${effect} (${scope.principal}, action, ${scope.resource})${afterScope}`;
  const read = cedar().policyToJson(text);
  if (read.type === 'success') {
    const { annotations: _, action: __, ...asked } = rule.json;
    const { annotations: ___, action, ...merged } = read.json;
    if (action.op === 'All' && isDeepStrictEqual(asked, merged)) return text;
  }
  throw new PhtError('policy.error', `rule ${rule.id} cannot be told apart from its action`);
}
