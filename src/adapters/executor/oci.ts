import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { type Pack, pack } from 'tar-stream';
import { PhtError } from '../../model/error.ts';
import { digestOf } from '../../model/id.ts';
import type { TrainImage } from '../../model/train.ts';
import type { ImageSource } from '../../ports/executor.ts';

/**
 * The archive that a station hands to its engine: an OCI image layout with a `manifest.json` beside `index.json`, the
 * one form that every engine loads. All of it is written here from verified parts; received manifests are never passed
 * on, since engines differ in which of two disagreeing files they believe.
 */

const MEDIA = 'application/vnd.oci.image';

/** The OCI manifest of one image. The same image gives the same bytes, so its digest is an identity too. */
export function ociManifest(image: TrainImage): Buffer {
  return json({
    schemaVersion: 2,
    mediaType: `${MEDIA}.manifest.v1+json`,
    config: {
      mediaType: `${MEDIA}.config.v1+json`,
      digest: `sha256:${image.configDigest}`,
      size: image.configBytes,
    },
    layers: image.layers.map(({ diffId, bytes }) => ({
      mediaType: `${MEDIA}.layer.v1.tar`,
      digest: `sha256:${diffId}`,
      size: bytes,
    })),
  });
}

/** @param tag `repository:tag` that the engine gives to the image */
export function ociArchive(source: ImageSource, tag: string): Readable {
  const archive = pack();
  archive.on('error', () => undefined); // thrown to whoever reads; until somebody does, it is nobody's
  writeArchive(archive, source, tag).then(
    () => archive.finalize(),
    (thrown: unknown) => archive.destroy(thrown instanceof Error ? thrown : new Error(String(thrown))),
  );
  return Readable.from(archive, { objectMode: false });
}

async function writeArchive(archive: Pack, source: ImageSource, tag: string): Promise<void> {
  const { image, config } = source;
  const manifest = ociManifest(image);
  const [os, architecture] = image.platform.split('/');
  writeFile(archive, 'oci-layout', json({ imageLayoutVersion: '1.0.0' }));
  writeFile(
    archive,
    'index.json',
    json({
      schemaVersion: 2,
      mediaType: `${MEDIA}.index.v1+json`,
      manifests: [
        {
          mediaType: `${MEDIA}.manifest.v1+json`,
          digest: `sha256:${digestOf(manifest)}`,
          size: manifest.byteLength,
          platform: { os, architecture },
          annotations: {
            'io.containerd.image.name': `docker.io/${tag}`,
            'org.opencontainers.image.ref.name': tag,
          },
        },
      ],
    }),
  );
  writeFile(
    archive,
    'manifest.json',
    json([
      {
        Config: blobPath(image.configDigest),
        RepoTags: [tag],
        Layers: image.layers.map(({ diffId }) => blobPath(diffId)),
      },
    ]),
  );
  writeFile(archive, blobPath(digestOf(manifest)), manifest);
  writeFile(archive, blobPath(image.configDigest), Buffer.from(config));
  const written = new Set<string>();
  for (const { diffId, bytes } of image.layers) {
    if (written.has(diffId)) continue; // one image may name one layer twice
    written.add(diffId);
    await writeLayer(archive, diffId, bytes, await source.layer(diffId));
  }
}

/** Hashed once more on its way: what the engine gets is what was signed, whatever happened to the file meanwhile. */
async function writeLayer(
  archive: Pack,
  diffId: string,
  bytes: number,
  from: AsyncIterable<Uint8Array>,
): Promise<void> {
  const hash = createHash('sha256');
  let seen = 0;
  const mismatch = (): PhtError =>
    new PhtError('image.mismatch', `layer ${diffId.slice(0, 12)} is not the one that was signed`);
  const entry = archive.entry({ name: blobPath(diffId), size: bytes, mtime: new Date(0), mode: 0o644 });
  const gone = new AbortController();
  entry.once('close', () => gone.abort()); // the engine hung up: nobody drains any more
  entry.on('error', () => gone.abort()); // the reason reaches the reader through the archive itself
  for await (const chunk of from) {
    seen += chunk.byteLength;
    if (seen > bytes) throw mismatch();
    hash.update(chunk);
    if (!entry.write(chunk)) await once(entry, 'drain', { signal: gone.signal });
  }
  if (seen !== bytes || hash.digest('hex') !== diffId) throw mismatch();
  const closed = once(entry, 'close');
  entry.end(undefined);
  await closed;
}

function writeFile(archive: Pack, name: string, content: Buffer): void {
  archive.entry({ name, mode: 0o644, mtime: new Date(0) }, content);
}

function blobPath(digest: string): string {
  return `blobs/sha256/${digest}`;
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
