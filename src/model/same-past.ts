import { PhtError } from './error.ts';
import { memberIn, type Network, type Span } from './network.ts';
import type { MembersPredicate } from './network-statements.ts';
import { canonicalJson } from './result/canonical.ts';
import type { Verified } from './statement.ts';

/** Whether two lists of members tell one past. */

/** What a list of members says of its own version and of those before. */
export type Past = Pick<Network, 'version' | 'digest' | 'previousDigest' | 'spans' | 'witnessingSpans'>;

export function pastOf({
  predicate,
  digest,
}: Pick<Verified<MembersPredicate>, 'predicate' | 'digest'>): Past {
  const { networkVersion: version, previousDigest, members: spans, witnessing: witnessingSpans } = predicate;
  return { version, digest, previousDigest, spans, witnessingSpans };
}

/**
 * A newer list may end entries and add some; it may not tell another past than the one that was seen. Only that a key got
 * into other hands may be learnt later, or that it did so earlier.
 *
 * @throws PhtError `network.forked`
 */
export function assertSamePast(known: Past, next: Past): void {
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
