import { PhtError } from '../../model/error.ts';
import type { HopRecord } from '../../ports/station-store.ts';
import { type Database, text } from './database.ts';

/** Promise 5: the primary key is what makes a second release impossible. */
export function claimRelease(database: Database, hop: HopRecord): void {
  const { manifestDigest, step, round } = hop;
  const taken = database.get(
    'SELECT hop_id FROM releases WHERE manifest_digest = ? AND step = ? AND round = ?',
    ...[manifestDigest, step, round],
  );
  if (taken !== undefined && text(taken, 'hop_id') === hop.hopId) return;
  if (taken !== undefined) throw new PhtError('replayed', 'a result of this train was released here before');
  database.run(
    'INSERT INTO releases (manifest_digest, step, round, hop_id) VALUES (?, ?, ?, ?)',
    ...[manifestDigest, step, round, hop.hopId],
  );
}

export function hold(
  database: Database,
  hop: HopRecord,
  jwe: Uint8Array | undefined,
  ledgerSize: number,
): void {
  if (jwe === undefined) throw new PhtError('internal', 'there is nothing to hold for the witnesses');
  database.run('UPDATE hops SET jwe = ?, ledger_size = ? WHERE hop_id = ?', jwe, ledgerSize, hop.hopId);
}

/** What never left was not released: the visit may be tried again. */
export function giveBack(database: Database, hop: HopRecord): void {
  database.run('UPDATE hops SET jwe = NULL, ledger_size = NULL WHERE hop_id = ?', hop.hopId);
  database.run('DELETE FROM releases WHERE hop_id = ?', hop.hopId);
}
