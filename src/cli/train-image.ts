import { readdirSync, rmSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type Docker from 'dockerode';
import { bounded, connectEngine, isAbsent } from '../adapters/executor/connect.ts';
import { readBounded } from '../adapters/home/files.ts';
import { buildImage } from '../adapters/image/build.ts';
import { exportImage } from '../adapters/image/export.ts';
import { PhtError } from '../model/error.ts';
import { digestOf } from '../model/id.ts';
import { readImageConfig } from '../model/image-config.ts';
import { TrainImage } from '../model/train.ts';
import type { ImageOrigin, TrainImages } from '../ports/researcher-images.ts';
import type { Traveller } from './train-compose.ts';

const CONFIG_BYTES_MAX = 1024 * 1024;

/** Images of the researcher's own engine, on their way into the depot of this home. */
export function createTrainImages({ home, researcher, depot }: Traveller): TrainImages {
  const docker = connectEngine();
  const blobs = join(home.dir, 'depot', 'blobs', 'sha256');
  return {
    take: async (origin, signal) => {
      const engineId = await imageIn(docker, origin, researcher, signal);
      removeTorn(blobs);
      const known = await heldAlready(docker, engineId, blobs, (digest) => depot.status(digest));
      if (known !== null) return known;
      researcher.tell('exporting the image');
      return (await exportImage(docker, engineId, blobs, signal)).image;
    },
  };
}

/** @returns the engine's own id, so that a tag which moves meanwhile changes nothing */
async function imageIn(
  docker: Docker,
  origin: ImageOrigin,
  { id, tell }: Traveller['researcher'],
  signal: AbortSignal,
): Promise<string> {
  if ('directory' in origin) {
    const { directory } = origin;
    tell(`building ${directory}`);
    return (await buildImage(docker, { directory, tag: tagOf(directory, id), progress: tell, signal }))
      .engineId;
  }
  try {
    return (await inspect(docker, origin.reference)).Id;
  } catch (cause) {
    if (!isAbsent(cause)) throw cause;
    throw new PhtError('image.missing', `the container engine has no image ${origin.reference}`, {
      cause,
      hint: 'build or pull it first; train.yaml names it as image:',
    });
  }
}

/** The same directory gets the same tag, so that repacking does not pile up images. */
function tagOf(directory: string, researcher: string): string {
  const path = resolve(directory);
  const name = basename(path)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return `signalbox-train/${researcher}/${name === '' ? 'train' : name}:${digestOf(path).slice(0, 12)}`;
}

/** An export that was killed leaves its draft. */
function removeTorn(blobs: string): void {
  for (const name of readdirSync(blobs)) {
    if (name.startsWith('.incoming-')) rmSync(join(blobs, name), { force: true });
  }
}

/**
 * The image as the depot has it, when every blob is there. Only an engine whose ids are config digests can be asked so;
 * for any other the image is exported again.
 */
async function heldAlready(
  docker: Docker,
  engineId: string,
  blobs: string,
  status: (digest: string) => Promise<{ bytes: number; complete: boolean }>,
): Promise<TrainImage | null> {
  const configDigest = engineId.replace(/^sha256:/, '');
  if (!(await status(configDigest)).complete) return null;
  const bytes = readBounded(join(blobs, configDigest), CONFIG_BYTES_MAX, 'the image config');
  if (digestOf(bytes) !== configDigest) return null;
  const { platform, diffIds } = readImageConfig(bytes);
  const inEngine = (await inspect(docker, engineId)).RootFS.Layers?.map((layer) =>
    layer.replace(/^sha256:/, ''),
  );
  if (inEngine === undefined || inEngine.join() !== diffIds.join()) return null;
  const layers: TrainImage['layers'] = [];
  for (const diffId of diffIds) {
    const held = await status(diffId);
    if (!held.complete) return null;
    layers.push({ diffId, bytes: held.bytes });
  }
  const image = TrainImage.safeParse({ configDigest, configBytes: bytes.byteLength, platform, layers });
  return image.success ? image.data : null;
}

function inspect(docker: Docker, reference: string): Promise<Docker.ImageInspectInfo> {
  return bounded('describe the image', () => docker.getImage(reference).inspect());
}
