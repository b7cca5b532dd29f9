import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { generateKey } from '../adapters/home/keys.ts';
import { readYaml } from '../adapters/home/yaml.ts';
import type { Choices } from '../journey/researcher/manifest.ts';
import { listOffers, stationsOffering } from '../journey/researcher/offers.ts';
import { pack } from '../journey/researcher/pack.ts';
import { PhtError } from '../model/error.ts';
import { membersOf } from '../model/network.ts';
import type { VerifiedManifest } from '../model/train.ts';
import { TrainFile } from '../model/train-file.ts';
import type { ImageOrigin } from '../ports/researcher-images.ts';
import { type Frame, signerOf } from './frame.ts';
import { alone, type Traveller, travel } from './train-compose.ts';
import { createTrainImages } from './train-image.ts';

export type PackOptions = {
  stop: string[];
  allStops?: true;
  minStations?: number;
  dataset?: string;
  set: string[];
  expiresDays?: number;
  expiresIn?: number;
};

const DAY_MS = 86_400_000;

export async function packTrain(frame: Frame, dir: string, options: PackOptions): Promise<void> {
  await travel(frame, {}, async (traveller) => {
    const { trainId, predicate } = await packDirectory(traveller, dir, options);
    const { image, route, expiresMs } = predicate;
    const place = join(traveller.home.dir, 'trains', trainId);
    const imageBytes = image.layers.reduce((sum, { bytes }) => sum + bytes, image.configBytes);
    const { configDigest, platform } = image;
    const summary = { configDigest, platform, layers: image.layers.length, bytes: imageBytes };
    frame.output.result({ trainId, directory: place, stops: route.stops, expiresMs, image: summary }, [
      `packed and signed ${trainId}: ${predicate.title}`,
      `  image     ${configDigest} (${(imageBytes / 1024 ** 2).toFixed(1)} MiB)`,
      `  stops     ${route.stops.join(', ')} (at least ${route.minStations})`,
      `  valid to  ${new Date(expiresMs).toISOString()}`,
      `Next: pht train submit ${trainId}`,
    ]);
  });
}

/** Shared with `submit`, which packs a directory first. */
export async function packDirectory(
  traveller: Traveller,
  dir: string,
  options: PackOptions,
): Promise<VerifiedManifest> {
  const { file, origin } = readTrain(dir);
  const choices = await choicesOf(file, options, traveller);
  const signer = await signerOf(traveller.home, 'statement');
  return alone(traveller, () => {
    const images = createTrainImages(traveller);
    const ports = { images, trains: traveller.trains, signer, newKey: () => generateKey('encryption') };
    return pack({ file, origin, choices }, traveller.researcher, ports, traveller.signal);
  });
}

/** @throws PhtError `config.missing`, `config.invalid`, `usage.invalid` */
export function readTrain(dir: string): { file: TrainFile; origin: ImageOrigin } {
  const file = readYaml(TrainFile, join(dir, 'train.yaml'), 'the train');
  if (file.image !== undefined) return { file, origin: { reference: file.image } };
  if (existsSync(join(dir, 'Dockerfile'))) return { file, origin: { directory: dir } };
  throw new PhtError('config.missing', `${dir} has no Dockerfile, and its train.yaml names no image`, {
    hint: 'write a Dockerfile (pht train init shows a small one), or name an image of your engine with image:',
  });
}

async function choicesOf(file: TrainFile, options: PackOptions, traveller: Traveller): Promise<Choices> {
  const { minStations, dataset, expiresDays, expiresIn } = options;
  if (expiresDays !== undefined && expiresIn !== undefined) {
    throw new PhtError('usage.invalid', 'give either --expires-days or --expires-in');
  }
  const lifetimeMs = expiresIn ?? (expiresDays === undefined ? undefined : expiresDays * DAY_MS);
  return {
    stops: await stopsOf(file, options, traveller),
    parameters: options.set,
    ...(minStations === undefined ? {} : { minStations }),
    ...(dataset === undefined ? {} : { dataset }),
    ...(lifetimeMs === undefined ? {} : { lifetimeMs }),
  };
}

/** Said on the command line, else in train.yaml, else whoever offers the dataset. */
async function stopsOf(file: TrainFile, options: PackOptions, traveller: Traveller): Promise<string[]> {
  const network = traveller.researcher.network();
  if (options.stop.length > 0) {
    if (options.allStops === true) throw new PhtError('usage.invalid', 'give either --stop or --all-stops');
    return [...new Set(options.stop)];
  }
  if (options.allStops === true) {
    return membersOf(network, 'station')
      .map(({ id }) => id)
      .sort();
  }
  if (file.route.stops !== undefined) return file.route.stops;
  const offers = await listOffers(await traveller.client(), network, traveller.retry, traveller.signal);
  return stationsOffering(offers, options.dataset ?? file.dataset);
}
