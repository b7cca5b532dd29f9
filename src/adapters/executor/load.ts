import { createInterface } from 'node:readline';
import type Docker from 'dockerode';
import { PhtError } from '../../model/error.ts';
import { digestOf } from '../../model/id.ts';
import { type ImageConfig, verifyImageConfig } from '../../model/image-config.ts';
import type { TrainImage } from '../../model/train.ts';
import type { ImageSource, LoadedImage } from '../../ports/executor.ts';
import { bounded, isAbsent } from './connect.ts';
import { ociArchive, ociManifest } from './oci.ts';

const LOAD_MS_MIN = 60_000;
/** Slower than this and the engine counts as hanging. */
const LOAD_BYTES_PER_MS_MIN = 2_000;

/**
 * Loads a verified image under this owner's tag, or finds it there.
 *
 * @param repository `signalbox/<owner>`; the tag is the beginning of the config digest
 * @throws PhtError `image.mismatch`, `image.unsafe`, `engine.unreachable`
 */
export async function loadImage(
  docker: Docker,
  source: ImageSource,
  repository: string,
): Promise<LoadedImage> {
  const config = verifyImageConfig(source.config, source.image);
  const tag = `${repository}:${source.image.configDigest.slice(0, 12)}`;
  const there = await findImage(docker, source.image, config, repository, tag);
  if (there !== undefined) return { engineId: there, alreadyThere: true };
  const bytes = source.image.layers.reduce((sum, layer) => sum + layer.bytes, 0);
  await bounded(
    'load the image',
    async (abortSignal) => {
      const archive = ociArchive(source, tag);
      // The engine's own words on a torn archive would hide that a layer was not the signed one.
      const torn = new Promise<never>((_, reject) => archive.once('error', reject));
      const answer = docker.loadImage(archive, { quiet: true, abortSignal });
      await Promise.race([torn, answer.then((lines) => followLoad(lines))]);
    },
    LOAD_MS_MIN + Math.ceil(bytes / LOAD_BYTES_PER_MS_MIN),
  );
  const info = await inspectImage(docker, tag);
  if (info === undefined)
    throw new PhtError('image.mismatch', 'the container engine did not keep the image that it loaded');
  assertIdentity(info, source.image, config);
  return { engineId: info.Id, alreadyThere: false };
}

/** By config digest (classic image store) or by our tag (the store that names images by their manifest). */
async function findImage(
  docker: Docker,
  image: TrainImage,
  config: ImageConfig,
  repository: string,
  tag: string,
): Promise<string | undefined> {
  for (const name of [`sha256:${image.configDigest}`, tag]) {
    const info = await inspectImage(docker, name);
    if (info === undefined) continue;
    try {
      assertIdentity(info, image, config);
    } catch {
      continue; // a tag that somebody moved: load it anew
    }
    if (!(info.RepoTags ?? []).includes(tag)) {
      // Our own tag, so that another owner's clearing does not take the image away.
      await bounded('tag the image', (abortSignal) =>
        docker
          .getImage(info.Id)
          .tag({ repo: repository, tag: tag.slice(repository.length + 1), abortSignal }),
      );
    }
    return info.Id;
  }
  return undefined;
}

async function inspectImage(docker: Docker, name: string): Promise<Docker.ImageInspectInfo | undefined> {
  try {
    return await bounded('describe the image', () => docker.getImage(name).inspect());
  } catch (thrown) {
    if (isAbsent(thrown)) return undefined;
    throw thrown;
  }
}

/**
 * The engine's image is the signed one: its id is the config digest or the digest of the manifest that we wrote, its
 * layers are the diff ids, and what it would apply is what the config says.
 *
 * @throws PhtError `image.mismatch`
 */
export function assertIdentity(info: Docker.ImageInspectInfo, image: TrainImage, config: ImageConfig): void {
  const mismatch = (what: string): PhtError =>
    new PhtError(
      'image.mismatch',
      `the container engine holds another image than was signed: ${what} differs`,
    );
  const ids = [`sha256:${image.configDigest}`, `sha256:${digestOf(ociManifest(image))}`];
  if (!ids.includes(info.Id)) throw mismatch('its id');
  const layers = (info.RootFS.Layers ?? []).map((layer) => layer.replace(/^sha256:/, ''));
  if (
    !sameWords(
      layers,
      image.layers.map(({ diffId }) => diffId),
    )
  )
    throw mismatch('the list of layers');
  const found = info.Config;
  const entrypoint = [...words(found.Entrypoint), ...words(found.Cmd)];
  if (!sameWords(entrypoint, config.entrypoint)) throw mismatch('the program');
  if (!sameWords(words(found.Env), config.env)) throw mismatch('the environment');
  if ((found.WorkingDir || '/') !== config.workingDir) throw mismatch('the working directory');
  if ((found.User || '') !== config.user) throw mismatch('the user');
  if (!sameWords(pairs(found.Labels), pairs(config.labels))) throw mismatch('the labels');
  if (Object.keys(found.Volumes ?? {}).length > 0) throw mismatch('the list of volumes');
  if (`${info.Os}/${info.Architecture}` !== image.platform) throw mismatch('the platform');
}

function words(value: string | string[] | null | undefined): string[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}

function pairs(labels: Record<string, string> | null | undefined): string[] {
  return Object.entries(labels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .sort();
}

function sameWords(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((word, at) => word === b[at]);
}

async function followLoad(answer: NodeJS.ReadableStream): Promise<void> {
  for await (const line of createInterface({ input: answer })) {
    if (line.includes('"errorDetail"') || line.includes('"error"')) {
      throw new PhtError('image.mismatch', `the container engine refused the image: ${line.slice(0, 300)}`);
    }
  }
}
