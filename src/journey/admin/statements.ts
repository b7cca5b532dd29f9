import { ClearancePredicate, verifyByAdmin } from '../../model/clearance.ts';
import { parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { type Digest, digestOf } from '../../model/id.ts';
import type { Network } from '../../model/network.ts';
import { openStanding, type StandingPredicate } from '../../model/standing.ts';
import { claimedType } from '../../model/statement.ts';

/** A colleague's statement, or one's own, that the station's agent shows, verified with the admin's own network file. */
export type OpenedStatement = {
  readonly digest: Digest;
  readonly admin: string;
  readonly person: string;
  readonly expiresMs: number;
  /** null for a clearance of one case. */
  readonly standing: StandingPredicate | null;
};

/** `problem`: why it does not hold here, in words. */
export type ShownStatement = { digest: Digest } & (
  | { opened: OpenedStatement }
  | { opened: null; problem: string }
);

/** What of the shown statements does not verify is said to, and never taken for anybody's word. */
export function openStatements(
  envelopes: readonly Uint8Array[],
  at: { network: Network; station: string },
): ShownStatement[] {
  return envelopes.map((bytes) => {
    let digest = digestOf(bytes);
    try {
      const envelope = parseEnvelope(bytes, 'clearance');
      const payload = payloadOf(envelope);
      digest = digestOf(payload);
      const { predicate, person, standing } =
        claimedType(payload, ['clearance', 'standing']) === 'standing'
          ? opened(openStanding(envelope, at))
          : { ...verifyByAdmin('clearance', ClearancePredicate, envelope, at), standing: null };
      const { issuer, expiresMs } = predicate;
      return { digest, opened: { digest, admin: issuer, person, expiresMs, standing } };
    } catch (thrown) {
      if (!(thrown instanceof PhtError)) throw thrown;
      return { digest, opened: null, problem: thrown.message };
    }
  });
}

function opened({ predicate, person }: ReturnType<typeof openStanding>) {
  return { predicate, person, standing: predicate };
}
