import { randomBytes } from 'node:crypto';
import { commitmentOf, SALT_BYTES } from '../../model/commitment.ts';
import type { Salts } from '../../ports/dispatcher-store.ts';

/**
 * A person in a ledger entry: a salted commitment, each with a salt of its own, so that entries tell neither whom they
 * are about nor that they are about the same one. Runs in the transaction of its entry.
 */
export function committed(member: string, { salts }: { salts: Salts }): string {
  const salt = randomBytes(SALT_BYTES);
  const commitment = commitmentOf(salt, member);
  salts.keep(commitment, salt, member);
  return commitment;
}
