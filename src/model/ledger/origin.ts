import type { Ed25519PublicJwk } from '../schema.ts';
import { type NoteKey, noteKey, TYPE_COSIGNATURE, TYPE_LOG } from './vkey.ts';

/**
 * The origin of one member's ledger, which is also the name of its log key (C2SP tlog-checkpoint). It contains the
 * network id, so that no checkpoint of another network can be taken for one of this.
 */
export function ledgerOrigin(networkId: string, memberId: string): string {
  return `signalbox.example/${networkId}/${memberId}`;
}

/** A member's log key from the pinned network file, as notes need it. */
export function logKey(origin: string, jwk: Ed25519PublicJwk): NoteKey {
  return noteKey(origin, TYPE_LOG, Buffer.from(jwk.x, 'base64url'));
}

/** A member's witness key. Its name differs from that of the same member's log, so that neither passes for the other. */
export function witnessKey(networkId: string, memberId: string, jwk: Ed25519PublicJwk): NoteKey {
  return noteKey(
    `${ledgerOrigin(networkId, memberId)}/witness`,
    TYPE_COSIGNATURE,
    Buffer.from(jwk.x, 'base64url'),
  );
}
