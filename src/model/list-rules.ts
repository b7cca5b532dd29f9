import { PhtError } from './error.ts';
import type { Digest } from './id.ts';
import type { Member, Network, Span, Witnessing } from './network.ts';
import { standing } from './network-as-of.ts';
import type { MembersPredicate, RootPredicate } from './network-statements.ts';
import type { Ed25519PublicJwk } from './schema.ts';
import type { Verified } from './statement.ts';

/** What a list of members has to be in itself, whoever signed it. */

/** @throws PhtError `network.mismatch`, `network.invalid` */
export function assertOrderly(
  { predicate, subject }: Pick<Verified<MembersPredicate>, 'predicate' | 'subject'>,
  id: Digest,
  root: Pick<RootPredicate, 'version'>,
): void {
  const { networkId, networkVersion, rootVersion, members, witnessing } = predicate;
  if (networkId !== id || subject !== id)
    throw new PhtError('network.mismatch', 'the list of members belongs to another network');
  if (rootVersion > root.version)
    throw invalid(`the list of members is of root ${rootVersion}, which is not in it`);
  assertSpans(members, networkVersion);
  for (const [at, { since }] of witnessing.entries()) {
    const before = witnessing[at - 1]?.since ?? 0;
    if (since <= before || since > networkVersion || (at === 0 && since !== 1))
      throw invalid('its rules of witnessing are not in order');
  }
}

/**
 * Each key speaks for one, and the quorum of now holds.
 *
 * @throws PhtError `network.invalid`
 */
export function assertSound(
  { members, witnessing, networkVersion }: MembersPredicate,
  { roles }: Pick<RootPredicate, 'roles'>,
): Pick<Network, 'members' | 'witnessing'> {
  assertDistinct(members, roles);
  const now = standing(members, witnessing, networkVersion);
  assertWitnessing(now.witnessing, [...now.members.values()]);
  return now;
}

/** One entry of a member at a time, each ending before the list's own version or not at all. */
function assertSpans(spans: readonly Span[], version: number): void {
  const last = new Map<string, Span>();
  for (const span of spans) {
    const { id, since, ended, role } = span;
    const before = last.get(id);
    if (before !== undefined && (before.ended === undefined || before.ended.version > since))
      throw invalid(`member ${id} is listed twice`);
    if (before?.ended?.why === 'renewed' && (before.ended.version !== since || before.role !== role))
      throw invalid(`the entries of ${id} do not follow each other`);
    if (since > version || (ended !== undefined && (ended.version <= since || ended.version > version)))
      throw invalid(`the entry of ${id} is of a version that is none`);
    last.set(id, span);
  }
  for (const { id, ended } of last.values())
    if (ended?.why === 'renewed') throw invalid(`the renewed entry of ${id} is missing`);
}

/**
 * Key material is unique: a key that appears twice could speak for two members, two uses, or after its own end.
 *
 * @throws PhtError `network.invalid`
 */
export function assertDistinct(spans: readonly Span[], roles: RootPredicate['roles']): void {
  const owner = new Map<string, string>();
  const claim = ({ x }: { x: string }, by: string): void => {
    const holder = owner.get(x);
    if (holder !== undefined && holder !== by) throw invalid(`a key of ${by} is also one of ${holder}`);
    owner.set(x, by);
  };
  for (const [role, { keys }] of Object.entries(roles))
    for (const key of keys as Ed25519PublicJwk[]) claim(key, `the role ${role}`);
  const present = new Map<string, Set<string>>();
  const gone = new Set<string>();
  for (const { id, keys, ended } of spans) {
    const held = new Set<string>();
    for (const [use, key] of Object.entries(keys)) {
      if (key === undefined) continue;
      claim(key, `${id} (${use})`);
      if (gone.has(key.x)) throw invalid(`a former key of ${id} (${use}) is named again`);
      held.add(key.x);
    }
    for (const x of present.get(id) ?? []) if (!held.has(x)) gone.add(x);
    if (ended?.why === 'revoked') for (const x of held) gone.add(x);
    present.set(id, held);
  }
}

/**
 * A quorum has to hold for every ledger of the network, each without its own operator: any two quorums share an honest
 * witness (2k > n + f), and no dispatcher reaches it alone (protocol, section 7).
 */
export function assertWitnessing(witnessing: Witnessing, members: readonly Member[]): void {
  if (witnessing.quorum === 'none') return;
  const { quorum, faulty, witnesses } = witnessing;
  const wrong = (why: string): PhtError => invalid(`the witnesses: ${why}`);
  if (new Set(witnesses).size !== witnesses.length) throw wrong('one is named twice');
  const named = witnesses.map((id) => members.find((member) => member.id === id));
  for (const [at, member] of named.entries()) {
    if (member?.keys.witness === undefined) throw wrong(`${witnesses[at]} has no witness key`);
  }
  const logs = members.filter(({ role }) => role === 'dispatcher' || role === 'station');
  const outsider = logs.some(({ id }) => !witnesses.includes(id));
  const [fewest, most] = [witnesses.length - 1, witnesses.length - (outsider ? 0 : 1)];
  if (quorum > fewest)
    throw wrong(`${quorum} cannot be reached by the ${fewest} that a witness's own ledger has`);
  if (2 * quorum <= most + faulty) throw wrong(`${quorum} of ${most} is too few with ${faulty} that may lie`);
  const dispatchers = named.filter((member) => member?.role === 'dispatcher').length;
  if (quorum <= dispatchers) throw wrong('the quorum must not be met by dispatchers alone');
}

const invalid = (why: string): PhtError => new PhtError('network.invalid', `the network file: ${why}`);
