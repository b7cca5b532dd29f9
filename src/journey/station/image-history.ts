import { ClearancePredicate, verifyByAdmin } from '../../model/clearance.ts';
import { parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import type { Network } from '../../model/network.ts';
import { openStanding } from '../../model/standing.ts';
import type { ClearanceStore, KnownStatement } from '../../ports/station-store.ts';
import type { Station } from './stages.ts';

type Store = Pick<ClearanceStore, 'image' | 'statement'>;

/**
 * A person has let a train with this very image run here before, is an admin of this station still, and nobody has taken
 * it back. An approval of its code alone was for another image.
 *
 * @param but leaves this hop out: its own approval is no fact of its own decision
 */
export function imageApprovedHere(
  configDigest: string,
  but: string,
  station: Station,
  clearances: Pick<ClearanceStore, 'clearedWith' | 'statement'>,
): boolean {
  return clearances
    .clearedWith(configDigest, but)
    .some((hop) => hop.clearances.every((digest) => approver(digest, station, clearances) !== null));
}

/** What this station remembers of an image beside one hop with it. */
export function imageHistory(configDigest: string, but: string, station: Station, clearances: Store) {
  const { hops, released, refused, firstSeenMs, cleared } = clearances.image(configDigest, but);
  const approvals = cleared.flatMap((hop) => {
    const by = hop.clearances.map((digest) => approver(digest, station, clearances));
    return by.includes(null) ? [] : [{ atMs: hop.clearedAtMs, by: by.join(', ') }];
  });
  return {
    ...{ hops, released, refused },
    firstSeenMs: BigInt(firstSeenMs ?? 0),
    lastApprovedMs: BigInt(approvals[0]?.atMs ?? 0),
    lastApprovedBy: approvals[0]?.by ?? '',
  };
}

function approver(
  digest: string,
  station: Station,
  clearances: Pick<ClearanceStore, 'statement'>,
): string | null {
  const statement = clearances.statement(digest);
  if (statement === null || statement.withdrawal !== null) return null;
  const network = station.network();
  const judged = judgedUnder.get(network) ?? new Map<string, string | null>();
  judgedUnder.set(network, judged);
  const known = judged.get(digest);
  if (known !== undefined) return known;
  const by = issuerOf(statement, { network, station: station.id });
  judged.set(digest, by);
  return by;
}

/** What a digest names never changes, so one network file judges it once. */
const judgedUnder = new WeakMap<Network, Map<string, string | null>>();

function issuerOf(
  { kind, envelope: bytes }: KnownStatement,
  at: { network: Network; station: string },
): string | null {
  try {
    const envelope = parseEnvelope(bytes, 'clearance');
    if (kind === 'clearance')
      return verifyByAdmin('clearance', ClearancePredicate, envelope, at).predicate.issuer;
    const { predicate } = openStanding(envelope, at);
    return 'image' in predicate.scope ? predicate.issuer : null;
  } catch (thrown) {
    if (thrown instanceof PhtError) return null;
    throw thrown;
  }
}
