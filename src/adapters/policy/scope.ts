import type { PrincipalConstraint, ResourceConstraint, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';
import { plain, type Request } from './facts.ts';
import type { Rule } from './rules.ts';

/** Whether a rule is for this principal and this resource, to say why it did not apply. Cedar alone decides. */
export function isFor(rule: Rule, part: 'principal' | 'resource', request: Request): boolean {
  return fits(rule.json[part], request[part], request);
}

function fits(limit: PrincipalConstraint | ResourceConstraint, entity: TypeAndId, request: Request): boolean {
  if (limit.op === 'All') return true;
  const inner = limit.op === 'is' ? limit.in : limit;
  if (limit.op === 'is' && limit.entity_type !== entity.type) return false;
  if (inner === undefined) return true;
  // A template's slot; no policy with one is loaded.
  if (!('entity' in inner)) return false;
  const wanted = '__entity' in inner.entity ? inner.entity.__entity : inner.entity;
  if (isSame(wanted, entity)) return true;
  return limit.op !== '==' && parentsOf(entity, request).some((parent) => isSame(wanted, parent));
}

function isSame(a: TypeAndId, b: TypeAndId): boolean {
  return a.type === b.type && a.id === b.id;
}

/** The lists that hold an entity. Lists stand in no lists. */
function parentsOf(entity: TypeAndId, { entities }: Request): TypeAndId[] {
  const found = entities.find(({ uid }) => 'type' in uid && isSame(uid, entity));
  return (found?.parents ?? []).flatMap((parent) => ('type' in parent ? [parent] : []));
}

const LISTS_SHOWN_MAX = 20;
const CHARS_MAX = 120;

/** `on the lists "known", "partners"`, or `on no list`. */
export function listsOf(entity: TypeAndId, request: Request): string {
  const names = parentsOf(entity, request).map(({ id }) => JSON.stringify(id));
  if (names.length === 0) return 'on no list';
  const line = `on the list${names.length === 1 ? '' : 's'} ${names.slice(0, LISTS_SHOWN_MAX).join(', ')}`;
  return plain(line, CHARS_MAX);
}
