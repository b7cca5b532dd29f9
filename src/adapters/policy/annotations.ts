import type { ActionConstraint, PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import type { Token } from './text.ts';

/**
 * What a rule says about itself: `@id`, `@explain` and `@approvals`, and which of the two actions it is about. Any other
 * annotation is refused, since a typo such as `@aprovals("2")` would silently mean one person.
 */

export type Action = 'Run' | 'RunIfApproved';

/** `explain`: the station's own words. `approvals`: how many persons must approve what this permit lets wait. */
export type Annotated = {
  id: string;
  effect: 'permit' | 'forbid';
  explain: string | undefined;
  approvals: 1 | 2;
  actions: readonly Action[];
  /** As Cedar itself reads it. */
  json: PolicyJson;
};

type Read = { rule: Annotated; warnings: string[] } | { refused: string };

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const EXPLAIN = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]{1,300}$/u;
const KNOWN: ReadonlySet<string> = new Set(['id', 'explain', 'approvals']);

/** @param tokens of the same rule: Cedar's JSON, as an object, need not have every name */
export function readAnnotations(json: PolicyJson, tokens: readonly Token[]): Read {
  // An annotation without a value is `null` there, whatever its type says.
  const annotations: Readonly<Record<string, unknown>> = json.annotations ?? {};
  const { effect } = json;
  const id = annotations['id'];
  if (typeof id !== 'string') return { refused: 'a rule has no @id; answers name rules by it' };
  if (!ID.test(id)) return { refused: `@id ${quoted(id)} must be 1 to 64 of A-Z a-z 0-9 . _ -` };
  const names = tokens.flatMap(({ text }, at) => (tokens[at - 1]?.text === '@' ? [text] : []));
  const strange = [...names, ...Object.keys(annotations)].find((name) => !KNOWN.has(name));
  if (strange !== undefined) {
    return { refused: `@${oneLine(strange)} of ${id} is not known; there are @id, @explain and @approvals` };
  }
  const explain = annotations['explain'] ?? undefined;
  if (explain !== undefined && (typeof explain !== 'string' || !EXPLAIN.test(explain))) {
    return { refused: `the @explain of ${id} must be one line of 1 to 300 characters` };
  }
  const actions = actionsOf(json.action);
  if ('approvals' in annotations && (effect === 'forbid' || !actions.includes('RunIfApproved'))) {
    return { refused: `@approvals of ${id} has no meaning: it belongs on a permit of RunIfApproved` };
  }
  const persons = 'approvals' in annotations ? annotations['approvals'] : '1';
  if (persons !== '1' && persons !== '2') return { refused: `the @approvals of ${id} must be "1" or "2"` };
  const rule: Annotated = { id, effect, explain, approvals: persons === '2' ? 2 : 1, actions, json };
  return { rule, warnings: warningsOf(json, rule) };
}

function actionsOf(action: ActionConstraint): Action[] {
  const both: readonly Action[] = ['Run', 'RunIfApproved'];
  if (action.op === 'All') return [...both];
  const named = 'entities' in action ? action.entities : 'entity' in action ? [action.entity] : [];
  const ids = named.map((uid) => ('__entity' in uid ? uid.__entity.id : uid.id));
  return both.filter((each) => ids.includes(each));
}

function warningsOf(json: PolicyJson, { effect, actions, approvals }: Annotated): string[] {
  const warnings: string[] = [];
  if (effect === 'forbid') {
    if (json.action.op === 'All') return [];
    return ['it forbids both Run and RunIfApproved, whichever action it names; write just `action`'];
  }
  if (!actions.includes('Run')) return [];
  if (approvals === 2) {
    warnings.push(
      'it permits Run too, so nobody is asked and @approvals("2") has no effect; name Action::"RunIfApproved" alone',
    );
  }
  if (isForEverything(json)) {
    warnings.push(
      'IT PERMITS EVERY TRAIN: any researcher, any image, any dataset, without asking anybody; add conditions, or name Action::"RunIfApproved" alone',
    );
  }
  return warnings;
}

/** No part of the request can make a difference. */
function isForEverything({ principal, resource, conditions }: PolicyJson): boolean {
  const open = (part: PolicyJson['principal'] | PolicyJson['resource']): boolean =>
    part.op === 'All' || (part.op === 'is' && part.in === undefined);
  return open(principal) && open(resource) && !conditions.some(({ body }) => asksTheRequest(body));
}

function asksTheRequest(expression: unknown): boolean {
  if (typeof expression !== 'object' || expression === null) return false;
  return Object.entries(expression).some(([name, inner]) =>
    name === 'Var' && typeof inner === 'string' ? inner !== 'action' : asksTheRequest(inner),
  );
}

/** Text on one line of at most 300 characters, without what could reshape it. */
export function oneLine(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 299)}…` : line;
}

function quoted(text: string): string {
  return oneLine(JSON.stringify(text)).slice(0, 80);
}
