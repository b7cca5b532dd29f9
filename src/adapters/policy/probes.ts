import { PhtError } from '../../model/error.ts';
import type { Action } from './annotations.ts';
import type { Request } from './facts.ts';
import { asked, keep } from './kept.ts';
import type { Rule } from './rules.ts';
import { type Clause, written } from './text.ts';

/**
 * Cedar names no reason for a default deny. So each clause becomes a rule of its own, a probe, and probes are evaluated
 * over the same facts. Clauses that read alike, as in many rules, share one.
 */
export type Probes = {
  name: string;
  /** The probe of each clause, per rule, in the rules' order. */
  ids: readonly (readonly string[])[];
  /** How many there are: each costs about 3 µs. */
  count: number;
  /** Where a clause asks for `action`, one evaluation cannot stand for both. */
  asksForAction: boolean;
};

/** `errors`: probes that could not be evaluated, with why. */
export type Probed = { met: ReadonlySet<string>; errors: ReadonlyMap<string, string> };

/** @param name of these very rules */
export function prepareProbes(name: string, rules: readonly Rule[]): Probes {
  const known = new Map<string, string>();
  const ids = rules.map(({ clauses }) =>
    clauses.map((clause) => {
      const text = probeOf(clause);
      const id = known.get(text) ?? `${known.size}`;
      known.set(text, id);
      return id;
    }),
  );
  const texts = new Map([...known].map(([text, id]) => [id, text]));
  keep(name, Object.fromEntries(texts));
  if (known.size > PROBES_AT_ONCE) {
    ids.forEach((own, at) => {
      keep(ofRule(name, at), Object.fromEntries(own.map((id) => [id, textIn(texts, id)])));
    });
  }
  return { name, ids, count: known.size, asksForAction: rules.some(asksForAction) };
}

/** Beyond these, the probes of few rules alone are cheaper than all of them. */
const PROBES_AT_ONCE = 64;

export function isLarge({ count }: Probes): boolean {
  return count > PROBES_AT_ONCE;
}

export function asksForAction({ clauses }: Rule): boolean {
  return clauses.some(({ tokens }) => tokens.some(({ kind, text }) => kind === 'word' && text === 'action'));
}

function probeOf({ kind, tokens }: Clause): string {
  return `permit (principal, action, resource) ${kind} {${written(tokens)}};`;
}

function textIn(texts: ReadonlyMap<string, string>, id: string): string {
  const text = texts.get(id);
  if (text === undefined) throw new PhtError('internal', 'a probe without its text');
  return text;
}

const ofRule = (name: string, at: number): string => `${name}/${at}`;

/**
 * @param at of the one rule that is meant, where `isLarge`; otherwise all are evaluated
 * @throws PhtError `policy.error` for facts that do not fit the schema
 */
export function probe({ name }: Probes, action: Action, request: Request, at?: number): Probed {
  const set = at === undefined ? name : ofRule(name, at);
  const { reason, errors } = asked(set, action, request).diagnostics;
  return {
    met: new Set(reason),
    errors: new Map(errors.map(({ policyId, error }) => [policyId, error.message])),
  };
}
