import { dirname } from 'node:path';
import type { Arrival } from '../model/account.ts';
import { table, wrap } from './text.ts';

/** For each receipt the head of its station's ledger that it stands under, and where the proofs of all of it lie. */
export function proofLines({ stations }: Arrival): string[] {
  const proven = stations.flatMap(({ station, proofs }) => (proofs === null ? [] : [{ station, ...proofs }]));
  const [first] = proven;
  if (first === undefined) return [];
  const rows = proven.map(({ station, receipt: { index, size, witnesses } }) => [
    station,
    `entry ${index}`,
    `size ${size}`,
    witnesses.length === 0 ? 'no witness' : `${witnesses.length}: ${witnesses.join(', ')}`,
  ]);
  return [
    '',
    ...table(['STATION', 'ITS RECEIPT', 'CHECKPOINT', 'COSIGNED BY'], rows),
    ...wrap(
      `proofs in ${dirname(first.receipt.file)} of this home; each verifies offline: pht audit proof --check FILE`,
    ),
  ];
}
