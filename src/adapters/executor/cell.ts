import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pack } from 'tar-stream';
import { PhtError } from '../../model/error.ts';
import { digestOf } from '../../model/id.ts';
import type { TrainImage } from '../../model/train.ts';
import type { ImageSource } from '../../ports/executor.ts';

/** The image around the one program of ours that runs in containers; no registry is asked for it. */

const ARCHITECTURES = { x86_64: 'x64', amd64: 'x64', aarch64: 'arm64', arm64: 'arm64' } as const;

/**
 * @param architecture as the engine calls its own machine, which need not be this one
 * @throws PhtError `engine.unsafe` for a machine that the cell was not made for
 */
export async function cellImage(architecture: string): Promise<ImageSource> {
  const known = Object.entries(ARCHITECTURES).find(([name]) => name === architecture)?.[1];
  if (known === undefined) {
    throw new PhtError(
      'engine.unsafe',
      `the container engine runs on ${architecture}; only x86-64 and arm64 can be proved`,
    );
  }
  const program = readFileSync(new URL(`./cell/cell-${known}`, import.meta.url));
  return imageOf(program, known === 'x64' ? 'amd64' : 'arm64');
}

async function imageOf(program: Buffer, architecture: 'amd64' | 'arm64'): Promise<ImageSource> {
  const layer = await cellLayer(program);
  const diffId: string = digestOf(layer);
  const config = Buffer.from(
    JSON.stringify({
      architecture,
      os: 'linux',
      config: { Entrypoint: ['/cell'], WorkingDir: '/' },
      rootfs: { type: 'layers', diff_ids: [`sha256:${diffId}`] },
      history: [{ created: '1970-01-01T00:00:00Z', created_by: 'signalbox cell' }],
    }),
  );
  const image: TrainImage = {
    configDigest: digestOf(config),
    configBytes: config.byteLength,
    platform: `linux/${architecture}`,
    layers: [{ diffId, bytes: layer.byteLength }],
  };
  return { image, config, layer: async () => Readable.from([layer]) };
}

async function cellLayer(program: Buffer): Promise<Buffer> {
  const archive = pack();
  const mtime = new Date(0);
  archive.entry({ name: 'cell', mode: 0o755, mtime }, program);
  // Writable for everybody: only a read-only root keeps the probe from writing here.
  archive.entry({ name: 'open', type: 'directory', mode: 0o777, mtime });
  archive.entry({ name: 'run', type: 'directory', mode: 0o777, mtime });
  archive.entry({ name: 'var/tmp', type: 'directory', mode: 0o777, mtime });
  archive.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of archive) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}
