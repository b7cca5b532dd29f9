import { PhtError } from '../../model/error.ts';
import { hopEntryHead } from '../../model/hop.ts';
import { codebookOf } from '../../model/result/codebook.ts';
import { screenResult } from '../../model/result/screen.ts';
import type { HopStore } from '../../ports/station-store.ts';
import { type Collected, type Screened, type Station, stage } from './stages.ts';

/**
 * The gate out: strict parse, the station's disclosure rules, and a new document made from the parsed values. What a
 * rule cannot decide does not leave.
 */
export function createScreen(
  station: Station,
  ports: { hops: HopStore },
): (collected: Collected) => Promise<Screened> {
  return async ({ cleared, hop, output }) => {
    const { manifest, dataset } = cleared.decided.inspected;
    const screening = screenResult(output, {
      settings: cleared.decided.disclosure,
      codebook: codebookOf(dataset.description, manifest.predicate.parameters),
      kinds: manifest.predicate.outputs.kinds,
      bytesMax: manifest.predicate.limits.outputBytesMax,
    });
    if (screening.verdict === 'withhold') throw new PhtError(screening.code, screening.reason);
    if (screening.verdict === 'hold') {
      throw new PhtError('disclosure.held', 'the rules of this station cannot decide on this result', {
        reasons: screening.reasons,
      });
    }
    const moved = ports.hops.move(hop, 'screened', {
      nowMs: station.clock.nowMs(),
      entries: [
        {
          type: 'output.screened',
          ...hopEntryHead(hop),
          body: { commitment: station.commitments.commit(JSON.stringify(screening.transforms)) },
        },
      ],
    });
    return stage<Screened>({ cleared, hop: moved, result: screening.bytes });
  };
}
