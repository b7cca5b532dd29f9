import { encodeEnvelope, parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { isSealed } from '../../model/hop.ts';
import { conflictDigest } from '../../model/ledger/misconduct.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import { verifyTrust } from '../../model/trust.ts';
import type { HopStore } from '../../ports/station-store.ts';
import type { WitnessStore } from '../../ports/witness.ts';
import { NO_HOP } from './forget.ts';
import type { Station } from './stages.ts';

export type TrustPorts = {
  witness: Pick<WitnessStore, 'conflicts' | 'unresolved' | 'resolve'>;
  hops: Pick<HopStore, 'open'>;
  /** Lets a hop look again. */
  decided: (hopId: string) => void;
};

/** Members whose ledger has two roots for one size and whom no admin trusts again. */
export function distrusted(witness: Pick<WitnessStore, 'conflicts'>): string[] {
  const open = witness.conflicts().filter(({ decision }) => decision?.verdict !== 'resume');
  return [...new Set(open.map(({ member }) => member))];
}

/** The evidence as it was signed: whoever asks verifies it with his own network file. */
export function knownConflicts(witness: Pick<WitnessStore, 'conflicts'>) {
  return witness.conflicts().map((conflict) => ({
    member: conflict.member,
    origin: conflict.origin,
    size: BigInt(conflict.size),
    conflictDigest: conflictDigest(conflict),
    foundAtMs: BigInt(conflict.foundAtMs),
    notes: [...conflict.notes],
    verdict: conflict.decision?.verdict ?? '',
    decidedAtMs: BigInt(conflict.decision?.decidedAtMs ?? 0),
  }));
}

/**
 * A person's word on one conflict. After `resume` of the last one the member's orders are taken again and what waited
 * looks again at once; `stop` says that somebody has looked, and keeps them out.
 *
 * @returns how many conflicts of this member are left, and how many hops looked again
 * @throws PhtError as `verifyTrust`; `not-found` for evidence that is not here, `conflict` for a word that is older than
 *   the one in force
 */
export function decideTrust(
  statement: Uint8Array,
  station: Station,
  ports: TrustPorts,
): { unresolved: number; hops: number } {
  const nowMs = station.clock.nowMs();
  const at = { network: station.network(), station: station.id, nowMs };
  const { predicate, digest, envelope } = verifyTrust(parseEnvelope(statement, 'word on trust'), at);
  const { member, verdict, issuer } = predicate;
  const known = ports.witness
    .conflicts()
    .find((conflict) => conflict.member === member && conflictDigest(conflict) === predicate.conflictDigest);
  if (known === undefined) throw new PhtError('not-found', `there is no such conflict of ${member} here`);
  const bytes = encodeEnvelope(envelope);
  // The same word again would otherwise leave salts that no entry has.
  if (known.decision === undefined || !sameBytes(known.decision.envelope, bytes)) {
    const body = {
      member,
      verdict,
      conflictDigest: predicate.conflictDigest,
      byCommitment: station.commitments.commit(issuer, [issuer]),
      statementCommitment: station.commitments.commit(digest, [issuer]),
    };
    const decision = { envelope: bytes, verdict, decidedAtMs: predicate.issuedAtMs };
    const entry = { type: 'trust.decided', ...NO_HOP, body } as const;
    ports.witness.resolve(conflictDigest(known), decision, [entry], nowMs);
  }
  const unresolved = ports.witness.unresolved(member).length;
  return { unresolved, hops: unresolved === 0 ? lookAgain(member, ports) : 0 };
}

function lookAgain(member: string, { hops, decided }: TrustPorts): number {
  const waiting = hops.open().filter((hop) => hop.dispatcher === member && !isSealed(hop.state));
  for (const { hopId } of waiting) decided(hopId);
  return waiting.length;
}
