import { createHash } from 'node:crypto';
import type { LedgerEntry } from './ledger/entry.ts';

/**
 * Salted commitments: SHA-256(salt ‖ value), the value as UTF-8, the salt always 16 random bytes. Whoever has the salt
 * shows what was meant; once it is deleted nobody can, however few values there are to guess from.
 */
export const SALT_BYTES = 16;

export function commitmentOf(salt: Uint8Array, value: string): string {
  return createHash('sha256').update(salt).update(value).digest('hex');
}

const NAME = /^(?:commitment|[a-z][A-Za-z0-9]*Commitment)$/;
const VALUE = /^[0-9a-f]{64}$/;

/** The commitments in one entry: each member of its body that is called `commitment` or `…Commitment`. */
export function commitmentsIn({ body }: Pick<LedgerEntry, 'body'>): { name: string; commitment: string }[] {
  return Object.entries(body).flatMap(([name, value]) =>
    NAME.test(name) && typeof value === 'string' && VALUE.test(value) ? [{ name, commitment: value }] : [],
  );
}
