import type { CedarValueJson } from '@cedar-policy/cedar-wasm/nodejs';
import { PhtError } from '../../model/error.ts';
import { cedar } from './engine.ts';
import { type Request, shown } from './facts.ts';
import type { Rule } from './rules.ts';
import { type Clause, written } from './text.ts';

/**
 * Cedar names no reason for a default deny. So each part of each `permit` becomes a rule of its own, a probe, and all
 * probes are evaluated at once over the same facts: what a probe does not permit is what was not met.
 */

export type Action = 'Run' | 'RunIfApproved';

const CLAUSE_SHOWN_MAX = 300;

/** Prepares the probes under a name of this policy alone. */
export function prepareProbes(name: string, rules: Rule[]): void {
  const probes: Record<string, string> = {};
  rules.forEach((rule, at) => {
    const { principal, action, resource } = rule.scope;
    probes[`${at}/principal`] = `permit (${principal}, action, resource);`;
    probes[`${at}/action`] = `permit (principal, ${action}, resource);`;
    probes[`${at}/resource`] = `permit (principal, action, ${resource});`;
    rule.clauses.forEach(({ kind, text }, clause) => {
      // On a line of its own: the clause may end in a comment.
      probes[`${at}/${clause}`] = `permit (principal, action, resource) ${kind} {${text}\n};`;
    });
  });
  const answer = cedar().preparsePolicySet(name, { staticPolicies: probes });
  if (answer.type === 'failure') {
    throw new PhtError(
      'policy.error',
      `its clauses cannot be evaluated one by one: ${answer.errors[0]?.message}`,
    );
  }
}

/** What kept each permit of this action from applying, in words; bounded by the caller. */
export function unmet(
  name: string,
  schema: string,
  permits: Rule[],
  action: Action,
  request: Request,
): string[] {
  const answer = cedar().statefulIsAuthorized({
    ...request,
    action: { type: 'Action', id: action },
    preparsedPolicySetId: name,
    preparsedSchemaName: schema,
    validateRequest: true,
  });
  if (answer.type === 'failure') return [`no rule permits ${action}`];
  const met = new Set(answer.response.diagnostics.reason);
  // A clause that errs alone was guarded by an earlier one, which is then the one to name.
  const guarded = new Set(answer.response.diagnostics.errors.map(({ policyId }) => policyId));
  const failed = (probe: string): boolean => !met.has(probe) && !guarded.has(probe);
  const reasons: string[] = [];
  let asked = 0;
  permits.forEach((rule, at) => {
    if (failed(`${at}/action`)) return;
    asked += 1;
    for (const part of ['principal', 'resource'] as const) {
      if (!failed(`${at}/${part}`)) continue;
      const about = bounded(rule.scope[part]);
      reasons.push(`${rule.id}: is for ${about}, not for ${shown({ __entity: request[part] })}`);
    }
    rule.clauses.forEach((clause, number) => {
      if (failed(`${at}/${number}`)) reasons.push(`${rule.id}: ${described(clause, request)}`);
    });
  });
  return asked === 0 ? [`no rule permits ${action}`] : reasons;
}

function described(clause: Clause, request: Request): string {
  const facts = factsNamed(clause, request);
  const words = clause.kind === 'when' ? 'not met' : 'must not be so';
  return `${words}: ${bounded(written(clause.tokens))}${facts.length === 0 ? '' : ` (here ${facts.join(', ')})`}`;
}

function bounded(line: string): string {
  const plain = line.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '�');
  return plain.length > CLAUSE_SHOWN_MAX ? `${plain.slice(0, CLAUSE_SHOWN_MAX - 1)}…` : plain;
}

/** `context.train.pidsMax is 512`: the value of each fact that the clause names. */
function factsNamed({ tokens }: Clause, request: Request): string[] {
  const named = new Set<string>();
  const organisation = request.entities[0]?.attrs['organisation'] ?? '';
  const root: CedarValueJson = { context: request.context, principal: { organisation } };
  tokens.forEach((token, at) => {
    if (token.kind !== 'word' || (token.text !== 'context' && token.text !== 'principal')) return;
    if (tokens[at - 1]?.text === '.') return;
    let path = token.text;
    let value: CedarValueJson | undefined = attributeOf(root, token.text);
    for (let next = at + 1; tokens[next]?.text === '.'; next += 2) {
      const name = tokens[next + 1]?.text ?? '';
      const inner = attributeOf(value, name);
      if (inner === undefined) break;
      path += `.${name}`;
      value = inner;
    }
    if (path !== token.text && value !== undefined) named.add(`${path} is ${shown(value)}`);
  });
  return [...named];
}

function attributeOf(value: CedarValueJson | undefined, name: string): CedarValueJson | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  // Entities, times and durations are leaves.
  if (name.startsWith('__') || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, CedarValueJson>)[name];
}
