import type { Action } from './annotations.ts';
import type { Request } from './facts.ts';
import { asked, keep } from './kept.ts';
import type { Rule } from './rules.ts';
import { written } from './text.ts';

/**
 * Cedar names no reason for a default deny. So each part of each rule becomes a rule of its own, a probe, and all probes
 * are evaluated at once over the same facts. Parts that read alike, as in many rules, share one probe.
 */
export type Probes = {
  set: string;
  /** Per rule, in the rules' order; null where the part is not limited. */
  parts: readonly { principal: string | null; resource: string | null; clauses: readonly string[] }[];
  /** Where a clause asks for `action`, one evaluation cannot stand for both. */
  asksForAction: boolean;
};

/** `errors`: probes that could not be evaluated, with why. */
export type Probed = { met: ReadonlySet<string>; errors: ReadonlyMap<string, string> };

/** @param name of these very rules */
export function prepareProbes(name: string, rules: readonly Rule[]): Probes {
  const ids = new Map<string, string>();
  const policies: Record<string, string> = {};
  const probe = (key: string, text: string): string => {
    const known = ids.get(key) ?? `${ids.size}`;
    ids.set(key, known);
    policies[known] ??= text;
    return known;
  };
  const parts = rules.map(({ scope: { principal, resource }, clauses }) => ({
    principal:
      principal === 'principal' ? null : probe(principal, `permit (${principal}, action, resource);`),
    resource: resource === 'resource' ? null : probe(resource, `permit (principal, action, ${resource});`),
    clauses: clauses.map(({ kind, tokens }) => {
      const clause = `${kind} {${written(tokens)}}`;
      return probe(clause, `permit (principal, action, resource) ${clause};`);
    }),
  }));
  keep(name, policies);
  const asksForAction = rules.some(({ clauses }) =>
    clauses.some(({ tokens }) => tokens.some(({ kind, text }) => kind === 'word' && text === 'action')),
  );
  return { set: name, parts, asksForAction };
}

/** @throws PhtError `policy.error` for facts that do not fit the schema */
export function probe({ set }: Probes, action: Action, request: Request): Probed {
  const { reason, errors } = asked(set, action, request).diagnostics;
  return {
    met: new Set(reason),
    errors: new Map(errors.map(({ policyId, error }) => [policyId, error.message])),
  };
}
