import { posix } from 'node:path';
import type Docker from 'dockerode';
import { extract } from 'tar-stream';
import { z } from 'zod';
import { PhtError } from '../../model/error.ts';
import { readImageConfig } from '../../model/image-config.ts';
import { parseStrictJson } from '../../model/json.ts';
import { TrainImage } from '../../model/train.ts';
import { type StoredBlob, storeBytes, storeLayer, syncDirectory } from './blob-file.ts';

/** What is at most this large may be metadata and is kept at hand until the archive's end says what it is. */
const SMALL_BYTES_MAX = 1024 * 1024;
const SMALL_TOTAL_BYTES_MAX = 64 * 1024 * 1024;
const ENTRIES_MAX = 4096;

export type ExportedImage = { image: TrainImage; config: Uint8Array };

/**
 * Streams an image out of the engine (`docker save`) into content-addressed files of `directory`: the config and each
 * layer as uncompressed tar, so that a layer's digest is its diff id. Both forms that engines write are read: the
 * archive of old (layer.tar files, repeated layers as links) and the OCI layout, whose layers may be compressed.
 *
 * @throws PhtError `image.missing`, `image.unsafe`, `image.mismatch`, `engine.unreachable`
 */
export async function exportImage(
  docker: Docker,
  reference: string,
  directory: string,
  signal?: AbortSignal,
): Promise<ExportedImage> {
  let archive: NodeJS.ReadableStream;
  try {
    archive = await docker.getImage(reference).get();
  } catch (cause) {
    const absent = cause instanceof Error && 'statusCode' in cause && cause.statusCode === 404;
    if (absent)
      throw new PhtError('image.missing', `the container engine has no image ${reference}`, { cause });
    throw new PhtError('engine.unreachable', `the image ${reference} could not be exported`, { cause });
  }
  return readImageArchive(archive, directory, signal);
}

type Contents = {
  small: Map<string, Buffer>;
  layers: Map<string, StoredBlob>;
  links: Map<string, string>;
};

/** The archive of `docker save`, from wherever it comes. */
export async function readImageArchive(
  archive: NodeJS.ReadableStream,
  directory: string,
  signal?: AbortSignal,
): Promise<ExportedImage> {
  const contents = await unpack(archive, directory, signal);
  const listed = manifestOf(contents);
  const config = find(contents, listed.Config);
  if (!Buffer.isBuffer(config)) throw malformed('its config is missing or too large');
  const parsed = readImageConfig(config);
  const layers: TrainImage['layers'] = [];
  for (const name of listed.Layers) {
    const found = find(contents, name);
    if (found === undefined) throw malformed(`its layer ${name.slice(0, 100)} is missing`);
    const blob = Buffer.isBuffer(found) ? await storeLayer(directory, once(found)) : found;
    layers.push({ diffId: blob.digest, bytes: blob.bytes });
  }
  if (
    layers.length !== parsed.diffIds.length ||
    layers.some(({ diffId }, at) => diffId !== parsed.diffIds[at])
  ) {
    throw new PhtError('image.mismatch', 'the exported layers are not those that the image’s config names');
  }
  const stored = await storeBytes(directory, config);
  await syncDirectory(directory);
  const image = TrainImage.safeParse({
    configDigest: stored.digest,
    configBytes: stored.bytes,
    platform: parsed.platform,
    layers,
  });
  if (!image.success) {
    throw new PhtError(
      'image.unsafe',
      `an image for ${parsed.platform} with ${layers.length} layers cannot travel`,
      {
        cause: image.error,
        hint: 'linux/amd64 and linux/arm64 can, with at most 128 layers',
      },
    );
  }
  return { image: image.data, config };
}

async function unpack(
  archive: NodeJS.ReadableStream,
  directory: string,
  signal?: AbortSignal,
): Promise<Contents> {
  const contents: Contents = { small: new Map(), layers: new Map(), links: new Map() };
  const reader = extract();
  const stop = (): void => {
    reader.destroy(new PhtError('cancelled', 'the export was stopped'));
  };
  signal?.addEventListener('abort', stop, { once: true });
  archive.on('error', (error: Error) => reader.destroy(error));
  archive.pipe(reader);
  let entries = 0;
  let smallBytes = 0;
  try {
    for await (const entry of reader) {
      const { type, size, linkname } = entry.header;
      const name = posix.normalize(entry.header.name);
      entries += 1;
      if (entries > ENTRIES_MAX) throw malformed('it has more entries than an image has');
      if (type === 'symlink') contents.links.set(name, posix.join(posix.dirname(name), linkname));
      if (type === 'file' && size <= SMALL_BYTES_MAX) {
        smallBytes += size;
        if (smallBytes > SMALL_TOTAL_BYTES_MAX) throw malformed('it has more metadata than an image has');
        contents.small.set(name, await gather(bytesOf(entry)));
      } else if (type === 'file') {
        contents.layers.set(name, await storeLayer(directory, bytesOf(entry)));
      } else {
        entry.resume();
      }
    }
    return contents;
  } catch (thrown) {
    if (thrown instanceof PhtError) throw thrown;
    throw new PhtError('image.mismatch', 'the image’s archive broke off or is none', { cause: thrown });
  } finally {
    signal?.removeEventListener('abort', stop);
    if ('destroy' in archive && typeof archive.destroy === 'function') archive.destroy();
  }
}

const DockerManifest = z
  .array(
    z.looseObject({ Config: z.string().max(4096), Layers: z.array(z.string().max(4096)).min(1).max(128) }),
  )
  .length(1);
const Descriptor = z.looseObject({
  mediaType: z.string(),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
});
const Index = z.looseObject({ manifests: z.array(Descriptor).min(1).max(64) });
const OciManifest = z.looseObject({ config: Descriptor, layers: z.array(Descriptor).min(1).max(128) });

type Listed = { Config: string; Layers: string[] };

function manifestOf(contents: Contents): Listed {
  const listed = contents.small.get('manifest.json');
  if (listed !== undefined) {
    const [only] = parse(DockerManifest, listed, 'manifest.json');
    if (only !== undefined) return only;
  }
  const index = contents.small.get('index.json');
  if (index === undefined) throw malformed('it has neither manifest.json nor index.json');
  const [first, ...others] = parse(Index, index, 'index.json').manifests;
  if (first === undefined || others.length > 0) throw malformed('it holds several images; name one platform');
  const bytes = contents.small.get(blobName(first.digest));
  if (bytes === undefined) throw malformed('its manifest is missing');
  const { config, layers } = parse(OciManifest, bytes, 'the image’s manifest');
  return { Config: blobName(config.digest), Layers: layers.map(({ digest }) => blobName(digest)) };
}

function parse<T extends z.ZodType>(schema: T, bytes: Buffer, what: string): z.infer<T> {
  const parsed = schema.safeParse(parseStrictJson(bytes, { bytesMax: SMALL_BYTES_MAX, what }));
  if (!parsed.success) throw malformed(`${what} is not as the format says`, parsed.error);
  return parsed.data;
}

/** One step through a link at most: engines link a repeated layer to the first of its kind. */
function find(contents: Contents, name: string): Buffer | StoredBlob | undefined {
  const plain = posix.normalize(name);
  const path = contents.links.get(plain) ?? plain;
  return contents.small.get(path) ?? contents.layers.get(path);
}

async function* bytesOf(entry: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  for await (const chunk of entry) if (chunk instanceof Uint8Array) yield chunk;
}

async function gather(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function blobName(digest: string): string {
  return digest.replace(':', '/').replace(/^/, 'blobs/');
}

function malformed(why: string, cause?: unknown): PhtError {
  return new PhtError('image.mismatch', `the image’s archive cannot be read: ${why}`, { cause });
}
