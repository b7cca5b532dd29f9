import { type VerifiedClearance, verifyClearance } from '../../model/clearance.ts';
import type { Disclosure } from '../../model/disclosure.ts';
import { parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { type Digest, digestOf } from '../../model/id.ts';
import type { LedgerEntry } from '../../model/ledger/entry.ts';
import type { Network } from '../../model/network.ts';
import { textIn } from './entry.ts';
import type { FindingCode, Severity } from './findings.ts';
import type { Person } from './person.ts';

type Cleared = {
  index: number;
  entry: LedgerEntry;
  person: Person;
  /** What `clearanceCommitment` opens to: the digest of the clearance. */
  digest: Person;
  station: string;
};
type Wrong = (severity: Severity, code: FindingCode, index: number, text: string) => void;

/**
 * Holds the clearance that an entry commits to against the network: an admin of this station signed it, for this case,
 * to run, and in time.
 *
 * @returns whether it could be checked and holds
 */
export function judgeClearance(
  { index, entry, person, digest, station }: Cleared,
  hops: Disclosure['hops'],
  network: Network,
  wrong: Wrong,
): boolean {
  if (person.is !== 'named') return false;
  const admin = network.members.get(person.id);
  // Who has left the network since cannot be looked up any more.
  if (admin === undefined) return false;
  if (admin.role !== 'admin' || admin.station !== station) {
    const text = `${person.id} cleared it, who is no admin of this station`;
    wrong('misconduct', 'release.without-clearance', index, text);
    return false;
  }
  if (digest.is !== 'named') return false;
  const envelopes = hops.filter(({ hopId }) => hopId === entry.hopId).flatMap(({ clearances }) => clearances);
  const contradicted = (text: string): false => {
    wrong('misconduct', 'clearance.contradicted', index, text);
    return false;
  };
  let clearance: VerifiedClearance | null;
  try {
    clearance = verified(envelopes, digest.id, { network, station, entry });
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    return contradicted(thrown.message);
  }
  if (clearance === null) {
    wrong('warning', 'disclosure.incomplete', index, 'the clearance itself is not among what was disclosed');
    return false;
  }
  const { verdict, issuer, manifestDigest } = clearance.predicate;
  if (verdict !== 'approve') return contradicted('the person rejected it');
  if (issuer !== person.id) return contradicted(`${issuer} signed it, and not ${person.id}`);
  if (manifestDigest !== entry.manifestDigest) return contradicted('it was given for another train');
  return true;
}

/** @throws PhtError `clearance.*`, `signature.*`, `statement.*`, `signer.unknown` */
function verified(
  envelopes: readonly string[],
  digest: string,
  { network, station, entry }: { network: Network; station: string; entry: LedgerEntry },
): VerifiedClearance | null {
  const caseDigest = (textIn(entry.body, 'caseDigest') ?? '') as Digest;
  for (const text of envelopes) {
    const envelope = parseEnvelope(Buffer.from(text), 'clearance');
    if (digestOf(Buffer.from(envelope.payload, 'base64')) !== digest) continue;
    return verifyClearance(envelope, network, station, caseDigest, entry.ts);
  }
  return null;
}
