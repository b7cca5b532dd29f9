import { verifyClearance } from '../../model/clearance.ts';
import type { Disclosure } from '../../model/disclosure.ts';
import { type Envelope, parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { type Digest, digestOf } from '../../model/id.ts';
import type { LedgerEntry } from '../../model/ledger/entry.ts';
import { LOOKING_BACK, type Network } from '../../model/network.ts';
import { type StandingPredicate, verifyStanding } from '../../model/standing.ts';
import { claimedType } from '../../model/statement.ts';
import { brokenTerm, type StandingUse } from './disclosed-terms.ts';
import { textIn } from './entry.ts';
import type { FindingCode, Severity } from './findings.ts';
import { type DatedHeads, judgeSigner } from './on-record.ts';
import type { Person } from './person.ts';

/** The members of `clearance.recorded` that commit to who cleared a train and by which statement. */
export const CLEARED_BY = [
  { by: 'byCommitment', clearance: 'clearanceCommitment' },
  { by: 'secondByCommitment', clearance: 'secondClearanceCommitment' },
] as const;

type Cleared = {
  index: number;
  entry: LedgerEntry;
  person: Person;
  /** What `clearanceCommitment` opens to: the digest of the clearance. */
  digest: Person;
  station: string;
  /** What the policy was asked before, and which; null where that is not disclosed. */
  asked: { question: string; policyDigest: string } | null;
  /** Told of each standing clearance that was used. */
  used: (use: StandingUse) => void;
};
type Wrong = (severity: Severity, code: FindingCode, index: number, text: string) => void;

/**
 * Holds the clearance that an entry commits to against the network: an admin of this station signed it, for this case, or
 * standing and on terms that this train has kept, to run, and in time.
 *
 * @returns the natural person who signed it; null where that could not be checked, or does not hold
 */
export function judgeClearance(
  { index, entry, person, digest, station, asked, used }: Cleared,
  hops: Disclosure['hops'],
  { network, dated }: { network: Network; dated: DatedHeads },
  wrong: Wrong,
): string | null {
  if (person.is !== 'named') return null;
  const known = network.spans.filter(({ id }) => id === person.id);
  // Of whom the network has never heard, nothing can be looked up.
  if (known.length === 0) return null;
  if (!known.some((span) => span.role === 'admin' && span.station === station)) {
    const text = `${person.id} cleared it, who is no admin of this station`;
    wrong('misconduct', 'release.without-clearance', index, text);
    return null;
  }
  if (digest.is !== 'named') return null;
  const envelopes = hops.filter(({ hopId }) => hopId === entry.hopId).flatMap(({ clearances }) => clearances);
  const contradicted = (text: string): null => {
    wrong('misconduct', 'clearance.contradicted', index, text);
    return null;
  };
  let signed: Signed | null;
  try {
    signed = verified(envelopes, digest.id, { network, station, entry });
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    return contradicted(thrown.message);
  }
  if (signed === null) {
    wrong('warning', 'disclosure.incomplete', index, 'the clearance itself is not among what was disclosed');
    return null;
  }
  const { verdict, issuer, manifestDigest } = signed;
  if (verdict !== 'approve') return contradicted('the person rejected it');
  if (issuer !== person.id) return contradicted(`${issuer} signed it, and not ${person.id}`);
  if (manifestDigest !== entry.manifestDigest) return contradicted('it was given for another train');
  if (signed.standing !== null) {
    used({ index, clearance: digest.id, runsMax: signed.standing.runsMax });
    const broken = asked === null ? null : brokenTerm(signed.standing, asked.question, asked.policyDigest);
    if (broken !== null) return contradicted(`its terms were not kept: ${broken}`);
  }
  const recorded = [{ log: station, index, atMs: entry.ts }];
  const revoked = judgeSigner(network, signed, 'admin', recorded, dated);
  if (revoked !== null) wrong(revoked.severity, revoked.code, index, `${person.id}: ${revoked.text}`);
  return revoked?.severity === 'error' ? null : signed.person;
}

type Signed = {
  networkId: string;
  networkVersion: number;
  verdict: string;
  issuer: string;
  manifestDigest: string | null;
  person: string;
  standing: StandingPredicate | null;
};
type At = { network: Network; station: string; entry: LedgerEntry };

/** @throws PhtError `clearance.*`, `signature.*`, `statement.*`, `signer.*` */
function verified(envelopes: readonly string[], digest: string, at: At): Signed | null {
  for (const text of envelopes) {
    const envelope = parseEnvelope(Buffer.from(text), 'clearance');
    if (digestOf(payloadOf(envelope)) === digest) return opened(envelope, at);
  }
  return null;
}

/** As it was when it was signed: whether whoever has left since had signed it before, `judgeSigner` says. */
function opened(envelope: Envelope, { network, station, entry }: At): Signed {
  if (claimedType(payloadOf(envelope), ['clearance', 'standing']) === 'clearance') {
    const caseDigest = (textIn(entry.body, 'caseDigest') ?? '') as Digest;
    const clearance = verifyClearance(envelope, network, station, caseDigest, entry.ts, LOOKING_BACK);
    return { ...clearance.predicate, person: clearance.person, standing: null };
  }
  if (entry.body['standing'] !== true)
    throw new PhtError('clearance.invalid', 'the entry does not say that a standing clearance was used');
  const at = { network, station, nowMs: entry.ts, provenAtMs: LOOKING_BACK };
  const { predicate, person } = verifyStanding(envelope, at);
  const about = { verdict: 'approve', manifestDigest: entry.manifestDigest };
  return { ...predicate, ...about, person, standing: predicate };
}
