import { DatasetDescription } from '../../model/dataset.ts';
import { PhtError } from '../../model/error.ts';
import { membersOf, type Network } from '../../model/network.ts';
import { check, parseWith, Slug } from '../../model/schema.ts';
import type { JourneyClient } from './journeys.ts';
import { CALL_ATTEMPTS_MAX, type Retry } from './researcher.ts';

/** One station's offer as the dispatcher passes it on. `problems`: descriptions that nobody can read. */
export type Offer = {
  station: string;
  online: boolean;
  lastSeenMs: number | null;
  datasets: DatasetDescription[];
  problems: string[];
};

const DESCRIPTION_BYTES_MAX = 512 * 1024;

/**
 * Every station of the pinned network, whether the dispatcher mentions it or not; what it says of strangers is left
 * out.
 */
export async function listOffers(
  client: JourneyClient,
  network: Network,
  retry: Retry,
  signal: AbortSignal,
): Promise<Offer[]> {
  const answer = await retry(() => client.datasets({}, { signal }), {
    signal,
    attemptsMax: CALL_ATTEMPTS_MAX,
  });
  const told = new Map(answer.stations.map((one) => [check(Slug, one.station, 'a station id'), one]));
  return membersOf(network, 'station')
    .map(({ id }) => {
      const one = told.get(id);
      const lastSeenMs = Number(one?.lastSeenMs ?? 0n);
      const offer: Offer = {
        station: id,
        online: one?.online ?? false,
        lastSeenMs: lastSeenMs || null,
        datasets: [],
        problems: [],
      };
      for (const bytes of one?.datasetDescriptions ?? []) addDescription(offer, bytes);
      return offer;
    })
    .sort((one, other) => (one.station < other.station ? -1 : 1));
}

/** One station's broken description must not hide what the others offer. */
function addDescription(offer: Offer, bytes: Uint8Array): void {
  try {
    const what = `a dataset of ${offer.station}`;
    offer.datasets.push(parseWith(DatasetDescription, bytes, { bytesMax: DESCRIPTION_BYTES_MAX, what }));
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    offer.problems.push(thrown.message);
  }
}

/** @throws PhtError `dataset.unknown` when nobody offers it */
export function stationsOffering(offers: readonly Offer[], dataset: string): string[] {
  const stations = offers
    .filter(({ datasets }) => datasets.some(({ id }) => id === dataset))
    .map(({ station }) => station);
  if (stations.length > 0) return stations;
  throw new PhtError('dataset.unknown', `no station is known to offer the dataset ${dataset}`, {
    hint: 'pht network datasets lists what there is; name stops yourself with --stop, or take all with --all-stops',
  });
}
