import { type Envelope, payloadOf } from './dsse.ts';
import { PhtError } from './error.ts';
import type { Digest } from './id.ts';
import { type Member, memberIn, type Network, type Span, standing, type Witnessing } from './network.ts';
import {
  FreshnessPredicate,
  MembersPredicate,
  type NetworkFiles,
  RootPredicate,
} from './network-statements.ts';
import { canonicalJson } from './result/canonical.ts';
import type { Ed25519PublicJwk } from './schema.ts';
import { readStatement, type Verified, verifyStatement } from './statement.ts';

/** From envelopes to a network: every root, then the members, then the word that they are the newest. */

const ROOTS_MAX = 100;

/**
 * @param pinnedId the network id that this home was told out of band; null only when it is being told now
 * @throws PhtError `network.mismatch`, `network.invalid`, `network.forked`, `signature.invalid`, `statement.*`
 */
export function openNetwork(files: NetworkFiles, pinnedId: string | null): Network {
  const { id, root } = openRoots(files.roots, pinnedId);
  const list = openMembers(files.members, id, root);
  const fresh = openFreshness(files.freshness, id, root);
  const { predicate } = list;
  if (fresh.predicate.networkVersion === predicate.networkVersion && fresh.subject !== list.digest) {
    throw new PhtError(
      'network.forked',
      `two lists of members both claim version ${predicate.networkVersion}; that is misconduct of the authority`,
    );
  }
  assertDistinct(predicate.members, root.predicate.roles);
  const now = standing(predicate.members, predicate.witnessing, predicate.networkVersion);
  assertWitnessing(now.witnessing, [...now.members.values()]);
  return {
    id,
    version: predicate.networkVersion,
    title: root.predicate.title,
    rootVersion: root.predicate.version,
    tlsAuthorities: root.predicate.tlsAuthorities,
    expiresMs: Math.min(root.predicate.expiresMs, predicate.expiresMs),
    issuedAtMs: predicate.issuedAtMs,
    freshness: {
      version: fresh.predicate.networkVersion,
      issuedAtMs: fresh.predicate.issuedAtMs,
      expiresMs: fresh.predicate.expiresMs,
    },
    ...now,
    digest: list.digest,
    previousDigest: predicate.previousDigest,
    certificates: new Map(Object.entries(files.certificates)),
    spans: predicate.members,
    witnessingSpans: predicate.witnessing,
  };
}

/**
 * Walks through every version: each is signed by enough keys of the one before and by enough of its own. The digest of
 * the first *is* the network id.
 *
 * @throws PhtError `network.mismatch`, `network.invalid`, `signature.invalid`, `statement.*`
 */
export function openRoots(
  envelopes: readonly Envelope[],
  pinnedId: string | null,
): { id: Digest; root: Verified<RootPredicate> } {
  const [first, ...later] = envelopes;
  if (first === undefined || envelopes.length > ROOTS_MAX) throw invalid(`it has ${envelopes.length} roots`);
  let root = openFirstRoot(first);
  const id = root.digest;
  if (pinnedId !== null && id !== pinnedId) {
    throw new PhtError(
      'network.mismatch',
      'the file belongs to another network: its id is not the pinned one',
    );
  }
  for (const envelope of later) root = openNextRoot(envelope, root, id);
  return { id, root };
}

/** The first root is signed by the keys it names, as nobody was before it. */
export function openFirstRoot(envelope: Envelope): Verified<RootPredicate> {
  const claimed = readStatement('root', RootPredicate, payloadOf(envelope)).predicate;
  const { keys, threshold } = claimed.roles.root;
  const root = verifyStatement('root', RootPredicate, envelope, keys, threshold);
  const { version, networkId, previousDigest } = root.predicate;
  if (version !== 1 || networkId !== null || previousDigest !== null)
    throw invalid('its first root is not version 1');
  return root;
}

/** @throws PhtError as `openRoots` */
export function openNextRoot(
  envelope: Envelope,
  before: Verified<RootPredicate>,
  id: Digest,
): Verified<RootPredicate> {
  const old = before.predicate.roles.root;
  const root = verifyStatement('root', RootPredicate, envelope, old.keys, old.threshold);
  const { keys, threshold } = root.predicate.roles.root;
  verifyStatement('root', RootPredicate, envelope, keys, threshold);
  const { version, networkId, previousDigest } = root.predicate;
  if (networkId !== id) throw new PhtError('network.mismatch', 'a root belongs to another network');
  if (version !== before.predicate.version + 1 || previousDigest !== before.digest)
    throw invalid(`its root ${version} does not follow root ${before.predicate.version}`);
  return root;
}

/** @throws PhtError as `openNetwork` */
export function openMembers(
  envelope: Envelope,
  id: Digest,
  root: Verified<RootPredicate>,
): Verified<MembersPredicate> {
  const { keys, threshold } = root.predicate.roles.members;
  const list = verifyStatement('members', MembersPredicate, envelope, keys, threshold);
  const { networkId, networkVersion, rootVersion, members, witnessing } = list.predicate;
  if (networkId !== id || list.subject !== id)
    throw new PhtError('network.mismatch', 'the list of members belongs to another network');
  if (rootVersion > root.predicate.version)
    throw invalid(`the list of members is of root ${rootVersion}, which is not in it`);
  assertSpans(members, networkVersion);
  for (const [at, { since }] of witnessing.entries()) {
    const before = witnessing[at - 1]?.since ?? 0;
    if (since <= before || since > networkVersion || (at === 0 && since !== 1))
      throw invalid('its rules of witnessing are not in order');
  }
  return list;
}

/** @throws PhtError as `openNetwork` */
export function openFreshness(
  envelope: Envelope,
  id: Digest,
  root: Verified<RootPredicate>,
): Verified<FreshnessPredicate> {
  const { keys, threshold } = root.predicate.roles.freshness;
  const fresh = verifyStatement('freshness', FreshnessPredicate, envelope, keys, threshold);
  const { networkId, rootVersion, issuedAtMs, expiresMs } = fresh.predicate;
  if (networkId !== id)
    throw new PhtError('network.mismatch', 'the freshness statement belongs to another network');
  if (rootVersion > root.predicate.version)
    throw new PhtError(
      'network.behind',
      `the authority has issued root ${rootVersion}, which is not here yet`,
    );
  if (expiresMs <= issuedAtMs || expiresMs - issuedAtMs > root.predicate.freshnessMsMax)
    throw invalid('its freshness statement is good for longer than the root allows');
  return fresh;
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

/** Key material is unique: a key that appears twice could speak for two members, two uses, or after its own end. */
function assertDistinct(spans: readonly Span[], roles: RootPredicate['roles']): void {
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

/**
 * A newer list may end entries and add some; it may not tell another past than the one that was seen. Only that a key got
 * into other hands may be learnt later, or that it did so earlier.
 *
 * @throws PhtError `network.forked`
 */
export function assertSamePast(known: Network, next: Network): void {
  const forked = (what: string): PhtError =>
    new PhtError('network.forked', `the newer network file tells another past of ${what}`, {
      hint: 'keep both files and show them to the other members: it is misconduct of the authority',
    });
  if (next.version === known.version && next.digest !== known.digest)
    throw forked(`version ${known.version} itself`);
  if (next.version === known.version + 1 && next.previousDigest !== known.digest)
    throw forked(`version ${known.version} itself`);
  const bySpan = new Map(next.spans.map((span) => [`${span.id} ${span.since}`, span]));
  for (const span of known.spans) {
    const now = bySpan.get(`${span.id} ${span.since}`);
    if (now === undefined || !same(memberIn(now), memberIn(span))) throw forked(span.id);
    const endedThen = now.ended !== undefined && now.ended.version <= known.version;
    if (span.ended === undefined ? endedThen : !sameEnd(span, now)) throw forked(span.id);
    bySpan.delete(`${span.id} ${span.since}`);
  }
  for (const { id, since } of bySpan.values()) if (since <= known.version) throw forked(id);
  const [rules, before] = [next.witnessingSpans, known.witnessingSpans];
  if (!same(rules.slice(0, before.length), before)) throw forked('its witnesses');
  if (rules.slice(before.length).some(({ since }) => since <= known.version)) throw forked('its witnesses');
}

function sameEnd({ ended: then }: Span, { ended: now }: Span): boolean {
  const { invalidAfterMs: stolenThen = Number.POSITIVE_INFINITY, ...was } = then ?? {};
  const { invalidAfterMs: stolenNow = Number.POSITIVE_INFINITY, ...is } = now ?? {};
  return stolenNow <= stolenThen && same(was, is);
}

const same = (one: object | undefined, other: object | undefined): boolean =>
  canonicalJson(one ?? {}) === canonicalJson(other ?? {});

const invalid = (why: string): PhtError => new PhtError('network.invalid', `the network file: ${why}`);
