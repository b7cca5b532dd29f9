import { createHash, randomBytes } from 'node:crypto';

/**
 * Salted commitments: SHA-256(salt ‖ value). The salt stays in the station's own table; deleting it removes the link
 * for good, and the ledger still verifies.
 */
export type Commitments = { commit(value: string): string };

export function createCommitments(
  keep: (commitment: string, salt: Uint8Array, value: string) => void,
): Commitments {
  return {
    commit: (value) => {
      const salt = randomBytes(16);
      const commitment = commitmentOf(salt, value);
      keep(commitment, salt, value);
      return commitment;
    },
  };
}

export function commitmentOf(salt: Uint8Array, value: string): string {
  return createHash('sha256').update(salt).update(value).digest('hex');
}
