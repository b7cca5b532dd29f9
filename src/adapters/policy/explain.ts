import type { CedarValueJson } from '@cedar-policy/cedar-wasm/nodejs';
import type { Action } from './annotations.ts';
import { listsOf, plain, type Request, shown } from './facts.ts';
import type { Prepared } from './prepared.ts';
import { type Probed, probe } from './probes.ts';
import type { Rule } from './rules.ts';
import { type Clause, type Token, written } from './text.ts';

/** Why a permit did not apply, part by part, in words. */

const CLAUSE_SHOWN_MAX = 300;

/** `unmet` counts; `inWords` says, and is worth its time only for what is shown. */
export type Misfit = { unmet: number; inWords(): string[] };

/** What kept each permit of these actions from applying. @throws PhtError `policy.error` */
export function misfits(policy: Prepared, actions: readonly Action[], request: Request): Misfit[] {
  let known: Probed | undefined;
  return actions.flatMap((action): Misfit[] => {
    const about = policy.permits.flatMap((rule, at) => (rule.actions.includes(action) ? [{ rule, at }] : []));
    if (about.length === 0) return [{ unmet: 1, inWords: () => [`no rule permits ${action}`] }];
    if (known === undefined || policy.probes.asksForAction) known = probe(policy.probes, action, request);
    const probed = known;
    return about.map(({ rule, at }) => misfit(rule, policy.probes.parts[at], probed, request));
  });
}

function misfit(
  rule: Rule,
  parts: Prepared['probes']['parts'][number] | undefined,
  { met, errors }: Probed,
  request: Request,
): Misfit {
  // A clause that errs alone was guarded by an earlier one, which is then the one to name.
  const failed = (id: string | null | undefined): boolean => id != null && !met.has(id) && !errors.has(id);
  const scopes = (['principal', 'resource'] as const).filter((part) => failed(parts?.[part]));
  const clauses = rule.clauses.filter((_, at) => failed(parts?.clauses[at]));
  return {
    unmet: scopes.length + clauses.length,
    inWords: () => [
      ...scopes.map((part) => `${rule.id}: ${otherThan(rule, part, request)}`),
      ...clauses.map((clause) => `${rule.id}: ${described(clause, request)}`),
    ],
  };
}

function otherThan({ scope }: Rule, part: 'principal' | 'resource', request: Request): string {
  const here = request[part];
  const lists = / in List::/.test(scope[part]) ? `, ${listsOf(request, here)}` : '';
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
  return `${shown(value)}, ${listsOf(request, entity)}`;
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
