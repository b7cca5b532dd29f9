import type { CedarValueJson } from '@cedar-policy/cedar-wasm/nodejs';
import type { Action } from './annotations.ts';
import { plain, type Request, shown } from './facts.ts';
import type { Prepared } from './prepared.ts';
import { isLarge, type Probed, probe } from './probes.ts';
import type { Rule } from './rules.ts';
import { isFor, listsOf } from './scope.ts';
import { type Clause, type Token, written } from './text.ts';

/** Why a permit did not apply, part by part, in words. */

const CLAUSE_SHOWN_MAX = 300;

/**
 * `unmet` counts; `distance` is small for a rule that nearly applied; `inWords` is worth its time only for what is
 * shown.
 */
export type Misfit = { unmet: number; distance: number; inWords(): string[] };

/** A rule for somebody else is farther than one of whose clauses many are not met. */
const FAR = 100;

/** So many rules are probed one by one before all are at once. */
const SINGLY_MAX = 3;

/**
 * What kept each permit of these actions from applying. In a large policy that is who and which dataset a rule is for;
 * only of rules that are for these, every clause is looked at.
 *
 * @throws PhtError `policy.error`
 */
export function misfits(policy: Prepared, actions: readonly Action[], request: Request): Misfit[] {
  const { permits, probes } = policy;
  const all = once((action: Action) => probe(probes, action, request));
  return actions.flatMap((action): Misfit[] => {
    const about = permits.flatMap((rule, at) => (rule.actions.includes(action) ? [{ rule, at }] : []));
    if (about.length === 0)
      return [{ unmet: 1, distance: FAR, inWords: () => [`no rule permits ${action}`] }];
    const asked = probes.asksForAction ? action : 'Run';
    const near = about.filter(
      ({ rule }) => isFor(rule, 'principal', request) && isFor(rule, 'resource', request),
    );
    const singly = isLarge(probes) && near.length <= SINGLY_MAX;
    return about.map(({ rule, at }) => {
      if (!singly) return misfit(rule, probes.ids[at], all(asked), request);
      if (!near.some((each) => each.at === at)) return misfit(rule, undefined, null, request);
      return misfit(rule, probes.ids[at], probe(probes, asked, request, at), request);
    });
  });
}

function once<K, V>(make: (key: K) => V): (key: K) => V {
  const made = new Map<K, V>();
  return (key) => {
    const value = made.get(key) ?? make(key);
    made.set(key, value);
    return value;
  };
}

function misfit(
  rule: Rule,
  ids: readonly string[] | undefined,
  probed: Probed | null,
  request: Request,
): Misfit {
  const scopes = (['principal', 'resource'] as const).filter((part) => !isFor(rule, part, request));
  // A clause that errs alone was guarded by an earlier one, which is then the one to name.
  const clauses = rule.clauses.filter((_, at) => {
    const id = ids?.[at];
    return id !== undefined && probed !== null && !probed.met.has(id) && !probed.errors.has(id);
  });
  return {
    unmet: scopes.length + clauses.length,
    distance: scopes.length * FAR + clauses.length,
    inWords: () => [
      ...scopes.map((part) => `${rule.id}: ${otherThan(rule, part, request)}`),
      ...clauses.map((clause) => `${rule.id}: ${described(clause, request)}`),
    ],
  };
}

function otherThan({ scope }: Rule, part: 'principal' | 'resource', request: Request): string {
  const here = request[part];
  const lists = /\bin List\b/.test(scope[part]) ? `, ${listsOf(here, request)}` : '';
  return `is for ${clauseShown(scope[part])}, not for ${shown({ __entity: here })}${lists}`;
}

function described(clause: Clause, request: Request): string {
  const facts = factsNamed(clause.tokens, request);
  const words = clause.kind === 'when' ? 'not met' : 'must not be so';
  const here = facts.length === 0 ? '' : ` (here ${facts.join(', ')})`;
  return `${words}: ${clauseShown(written(clause.tokens))}${here}`;
}

export function clauseShown(line: string): string {
  return plain(line, CLAUSE_SHOWN_MAX);
}

/** `context.train.pidsMax is 512`: the value of each fact that the tokens name, with its lists where they ask for one. */
export function factsNamed(tokens: readonly Token[], request: Request): string[] {
  const named = new Set<string>();
  const organisation = request.entities[0]?.attrs['organisation'] ?? '';
  const root: CedarValueJson = { context: request.context, principal: { organisation } };
  const asksForList = tokens.some(({ text }) => text === 'List');
  tokens.forEach((token, at) => {
    if (token.kind !== 'word' || !['context', 'principal', 'resource'].includes(token.text)) return;
    if (tokens[at - 1]?.text === '.') return;
    let path = token.text;
    let value = attributeOf(root, token.text);
    for (let next = at + 1; tokens[next]?.text === '.'; next += 2) {
      const name = tokens[next + 1]?.text ?? '';
      const inner = attributeOf(value, name);
      if (inner === undefined) break;
      path += `.${name}`;
      value = inner;
    }
    if (path === 'principal' && tokens[at + 1]?.text !== '.' && asksForList)
      value = { __entity: request.principal };
    else if (path === token.text) return;
    if (value !== undefined) named.add(`${path} is ${valueShown(value, asksForList, request)}`);
  });
  return [...named];
}

function valueShown(value: CedarValueJson, asksForList: boolean, request: Request): string {
  const entity = attributeOf(value, '__entity', true) as { type: string; id: string } | undefined;
  if (entity === undefined || !asksForList) return shown(value);
  return `${shown(value)}, ${listsOf(entity, request)}`;
}

function attributeOf(
  value: CedarValueJson | undefined,
  name: string,
  escapes = false,
): CedarValueJson | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  // Entities, times and durations are leaves.
  if ((name.startsWith('__') && !escapes) || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, CedarValueJson>)[name];
}
