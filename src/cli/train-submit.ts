import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { submit } from '../journey/researcher/submit.ts';
import { PhtError } from '../model/error.ts';
import { type TrainId, TrainIdText } from '../model/id.ts';
import type { Frame } from './frame.ts';
import { type SubmitFlags, type Traveller, travel } from './train-compose.ts';
import { waitFor } from './train-follow.ts';
import { type PackOptions, packDirectory } from './train-pack.ts';
import { present } from './train-result.ts';

export async function submitTrain(
  frame: Frame,
  what: string,
  options: PackOptions & SubmitFlags,
): Promise<void> {
  await travel(frame, { timeoutMs: options.timeout }, async (traveller) => {
    const trainId = await packedId(frame, traveller, what, options);
    const { journey, uploadedBytes, admission } = await submit(
      trainId,
      traveller.researcher,
      await traveller.submitPorts(),
      traveller.signal,
    );
    if (options.wait === true) {
      await waitFor(frame, traveller, trainId);
      return present(frame, traveller, trainId, options.combine);
    }
    const stops = journey.stops.map(({ station }) => station);
    frame.output.result({ trainId, journey, uploadedBytes, admission }, [
      `submitted ${trainId}: ${journey.title}`,
      `  stops  ${stops.join(', ')}`,
      `  proof  ${admission.file} in this home`,
      `Next: pht train watch ${trainId}`,
      `then: pht train result ${trainId}`,
    ]);
  });
}

/** An id, a packed train's directory, or a train directory, which is packed first. */
export async function packedId(
  frame: Frame,
  traveller: Traveller,
  what: string,
  options: PackOptions,
): Promise<TrainId> {
  const id = TrainIdText.safeParse(what);
  if (id.success) return traveller.trains.find(unchanged(id.data, options)).trainId;
  if (existsSync(join(what, 'manifest.dsse.json'))) return unchanged(packedHere(traveller, what), options);
  if (!existsSync(join(what, 'train.yaml'))) {
    throw new PhtError(
      'usage.invalid',
      `${what} is neither a train directory, nor a packed train, nor a train id`,
      {
        hint: 'a train directory has a train.yaml: pht train init writes one',
      },
    );
  }
  const { trainId } = await packDirectory(traveller, what, options);
  // Whoever is interrupted after this goes on with the id.
  frame.output.progress(`packed ${trainId}`);
  return trainId;
}

/** @throws PhtError `usage.invalid` for a choice that a signed manifest cannot take any more */
function unchanged(trainId: TrainId, options: PackOptions): TrainId {
  const { stop, set, allStops, minStations, dataset, expiresDays, expiresIn } = options;
  const chosen = [allStops, minStations, dataset, expiresDays, expiresIn].some(
    (choice) => choice !== undefined,
  );
  if (stop.length === 0 && set.length === 0 && !chosen) return trainId;
  throw new PhtError(
    'usage.invalid',
    'the train is packed and signed; nothing in it can be chosen any more',
    {
      hint: 'pack the train directory again with these choices',
    },
  );
}

/** Its blobs and its key are in this home, so it can be submitted from nowhere else. */
function packedHere(traveller: Traveller, dir: string): TrainId {
  const id = TrainIdText.safeParse(basename(resolve(dir)));
  if (id.success && resolve(dir) === resolve(join(traveller.home.dir, 'trains', id.data))) return id.data;
  throw new PhtError('usage.invalid', `${dir} is no packed train of this home`, {
    hint: 'pack the train directory with the home that submits it',
  });
}
