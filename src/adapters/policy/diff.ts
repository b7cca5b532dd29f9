import { soundRules } from './cedar.ts';
import type { Rule } from './rules.ts';
import { written } from './text.ts';

/** What changed between two policies, rule by rule as `@id` names them; comments and layout do not count. */

export type RuleChange = { id: string; removed: string[]; added: string[] };
export type PolicyDiff = { added: string[]; removed: string[]; changed: RuleChange[] };

/** @throws PhtError `policy.error` for one that no station would load */
export function diffPolicies(before: Uint8Array, after: Uint8Array): PolicyDiff {
  const [old, now] = [byId(soundRules(before)), byId(soundRules(after))];
  const changed = [...old].flatMap(([id, rule]): RuleChange[] => {
    const next = now.get(id);
    const change = next === undefined ? null : changeOf(rule, next);
    return change === null ? [] : [{ id, ...change }];
  });
  return {
    added: [...now.keys()].filter((id) => !old.has(id)),
    removed: [...old.keys()].filter((id) => !now.has(id)),
    changed,
  };
}

function byId(rules: readonly Rule[]): Map<string, Rule> {
  return new Map(rules.map((rule) => [rule.id, rule]));
}

function changeOf(before: Rule, after: Rule): Omit<RuleChange, 'id'> | null {
  const [old, now] = [partsOf(before), partsOf(after)];
  const removed = without(old, now);
  const added = without(now, old);
  return removed.length + added.length === 0 ? null : { removed, added };
}

/** Each part as a line by itself. Their order only says which is looked at first. */
function partsOf({ effect, scope, clauses, explain, approvals }: Rule): string[] {
  return [
    effect,
    scope.principal,
    scope.action,
    scope.resource,
    ...(explain === undefined ? [] : [`@explain(${JSON.stringify(explain)})`]),
    ...(approvals === 2 ? ['@approvals("2")'] : []),
    ...clauses.map(({ kind, tokens }) => `${kind} { ${written(tokens)} }`),
  ];
}

/** As many of each as `others` lacks. */
function without(parts: readonly string[], others: readonly string[]): string[] {
  const left = [...others];
  return parts.filter((part) => {
    const at = left.indexOf(part);
    if (at !== -1) left.splice(at, 1);
    return at === -1;
  });
}
