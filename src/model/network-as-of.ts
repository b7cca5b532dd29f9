import { PhtError } from './error.ts';
import { holdsIn, memberIn, type Network, type Span, type WitnessingSpan } from './network.ts';

/** The network as it stood in a version: who was a member, and what rule of witnessing held. */

/** Statements of strangers choose which ones are asked for. */
const VIEWS_MAX = 32;
const views = new WeakMap<Network, Map<number, Network>>();

/**
 * The network as it stood in an earlier version, by the word of this one.
 *
 * @throws PhtError `network.behind`
 */
export function asOf(network: Network, version: number): Network {
  if (version === network.version) return network;
  if (version > network.version) {
    throw new PhtError('network.behind', `version ${version} of the network file is not here yet`);
  }
  const known = views.get(network) ?? new Map<number, Network>();
  views.set(network, known);
  const seen = known.get(version);
  if (seen !== undefined) return seen;
  const view = { ...network, version, ...standing(network.spans, network.witnessingSpans, version) };
  if (known.size >= VIEWS_MAX) known.clear();
  known.set(version, view);
  return view;
}

/** Who and what rule stands in one version. */
export function standing(
  spans: readonly Span[],
  witnessingSpans: readonly WitnessingSpan[],
  version: number,
): Pick<Network, 'members' | 'witnessing'> {
  const members = spans
    .filter((span) => holdsIn(span, version))
    .map((span) => [span.id, memberIn(span)] as const);
  const rule = witnessingSpans.findLast(({ since }) => since <= version)?.rule ?? { quorum: 'none' };
  return { members: new Map(members), witnessing: rule };
}
