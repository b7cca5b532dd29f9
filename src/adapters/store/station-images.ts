import { parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { type Digest, type HopId, trainIdOf } from '../../model/id.ts';
import { readStatement } from '../../model/statement.ts';
import { Manifest } from '../../model/train.ts';
import type { ClearedHop, ClearedImages } from '../../ports/image-review.ts';
import type { HopNotes } from '../../ports/station-store.ts';
import { blob, type Database, type Row, text } from './database.ts';

/** Of an image that somebody said no to later, nobody should think as of one that was approved. */
const TAKEN_BACK = ['clearance.rejected', 'clearance.withdrawn', 'policy.denied'];

/** What a person erased is not listed: its manifest has gone. */
export function createClearedImages(database: Database): ClearedImages {
  return {
    list: (hopsMax, listed) => {
      const rows = database.all(
        `SELECT hop_id, manifest_digest, manifest_bytes, notes FROM hops
         WHERE json_extract(notes, '$.clearedAtMs') IS NOT NULL AND length(manifest_bytes) > 0
           AND (json_extract(notes, '$.verdict') = 'ask'
             OR json_extract(notes, '$.image') IN (SELECT value FROM json_each(?)))
           AND (code IS NULL OR code NOT IN (${TAKEN_BACK.map(() => '?').join(', ')}))
         ORDER BY json_extract(notes, '$.clearedAtMs') DESC, hop_id LIMIT ?`,
        ...[JSON.stringify(listed), ...TAKEN_BACK, hopsMax],
      );
      return rows.flatMap(clearedHop);
    },
  };
}

/** Its manifest was verified when it came; one of an older version of this software may not be readable any more. */
function clearedHop(row: Row): ClearedHop[] {
  const { clearedAtMs, clearances, verdict } = JSON.parse(text(row, 'notes')) as HopNotes;
  if (clearedAtMs === undefined) return [];
  try {
    const payload = payloadOf(parseEnvelope(blob(row, 'manifest_bytes'), 'manifest'));
    const { image, issuer, title } = readStatement('manifest', Manifest, payload).predicate;
    return [
      {
        image,
        hopId: text(row, 'hop_id') as HopId,
        trainId: trainIdOf(text(row, 'manifest_digest') as Digest),
        researcher: issuer,
        title,
        clearedAtMs,
        by: verdict === 'ask' ? 'person' : 'list',
        clearances: clearances ?? [],
      },
    ];
  } catch (thrown) {
    if (thrown instanceof PhtError) return [];
    throw thrown;
  }
}
