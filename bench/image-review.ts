import { createHash, hash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pack } from 'tar-stream';
import { createDepot } from '../src/adapters/depot/files.ts';
import { createImageReviews } from '../src/adapters/image/difference.ts';
import { createDifference } from '../src/journey/station/difference.ts';
import { type Digest, hopIdOf, trainIdOf } from '../src/model/id.ts';
import { ImageDifference } from '../src/model/image-difference.ts';
import { NO_LISTS } from '../src/model/lists.ts';
import type { TrainImage } from '../src/model/train.ts';
import type { Depot } from '../src/ports/depot.ts';
import type { HopRecord } from '../src/ports/station-store.ts';
import { makeNetwork } from '../test/fakes/network.ts';
import { makeTrain } from '../test/fakes/trains.ts';

/** Two images of 500 MB of which the top layer differs, at a dispatcher, and a station that looks at them. */

const MB = 1_000_000;
/** Of each layer from the bottom up: its size and how many files share it, as in an image with Python or R. */
const BASE: readonly (readonly [number, number])[] = [
  [80 * MB, 4000],
  [150 * MB, 9000],
  [150 * MB, 3000],
  [70 * MB, 1500],
];
const TOP: readonly [number, number] = [50 * MB, 1000];
const TEXT_EVERY = 3;
const DISK_BYTES_MAX = 2 ** 40;

export type Looking = {
  /** Shows the difference as `pht station show` gets it. */
  look(): Promise<ImageDifference>;
  /** The station forgets what it knows: of the new top layer, or of everything. */
  forget(what: 'top' | 'all'): Promise<void>;
  /** Reading and SHA-256 of the changed layer, alone. */
  floor(): Promise<void>;
};

export async function withImages<T>(work: (looking: Looking) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'pht-bench-images-'));
  try {
    const dispatcher = createDepot(join(dir, 'dispatcher'));
    const below: TrainImage['layers'] = [];
    for (const [at, [bytes, files]] of BASE.entries()) {
      below.push(await makeLayer(dispatcher, { bytes, files, folder: `opt/base${at}`, changed: 0 }));
    }
    const [bytes, files] = TOP;
    const tops = [0, 1].map((changed) =>
      makeLayer(dispatcher, { bytes, files, folder: 'opt/train', changed }),
    );
    const [before, now] = await Promise.all(
      tops.map(async (top) => makeImage(dispatcher, [...below, await top])),
    );
    if (before === undefined || now === undefined) throw new Error('there are no images');
    return await work(await lookingAt(dir, dispatcher, before, now));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function lookingAt(
  dir: string,
  dispatcher: Depot,
  before: TrainImage,
  now: TrainImage,
): Promise<Looking> {
  const at = join(dir, 'station');
  const nowMs = Date.now();
  const { manifest, digest } = makeTrain(await makeNetwork({ nowMs }), now, nowMs);
  const hop = waitingHop(manifest, digest);
  const base = {
    ...{
      image: before,
      hopId: hopIdOf('b'.repeat(64) as Digest),
      trainId: trainIdOf(digest),
      researcher: 'rosa',
    },
    ...{ title: 'Earlier', clearedAtMs: 1, by: 'person' as const, clearances: [] },
  };
  const forgetAll = (): void => rmSync(at, { recursive: true, force: true });
  const top = now.layers.at(-1)?.diffId ?? '';
  const look = async (): Promise<ImageDifference> => {
    const depot = createDepot(join(at, 'depot'));
    const difference = createDifference(
      { lists: () => NO_LISTS, blobCacheBytesMax: DISK_BYTES_MAX },
      {
        depot,
        clearances: { statement: () => null },
        clearedImages: { list: () => [base] },
        blobs: {
          fetch: async (_trainId, blob, bytes) => {
            await depot.write(blob, bytes, 0, dispatcher.read(blob, 0));
          },
        },
        review: createImageReviews(depot, join(at, 'layers')),
        connected: () => true,
      },
    );
    for await (const part of difference(hop, new AbortController().signal)) {
      if (part.difference !== undefined)
        return ImageDifference.parse(JSON.parse(Buffer.from(part.difference).toString('utf8')));
    }
    throw new Error('nothing was said of the difference');
  };
  return {
    look,
    forget: async (what) => {
      if (what === 'top') {
        rmSync(join(at, 'layers', `${top}.layer`), { force: true });
        rmSync(join(at, 'depot', 'blobs', 'sha256', top), { force: true });
        return;
      }
      forgetAll();
      // The blobs that the base was run with; what is in them nobody has looked at.
      const depot = createDepot(join(at, 'depot'));
      for (const { diffId, bytes } of before.layers)
        await depot.write(diffId, bytes, 0, dispatcher.read(diffId, 0));
      await depot.write(before.configDigest, before.configBytes, 0, dispatcher.read(before.configDigest, 0));
    },
    floor: async () => {
      const hashing = createHash('sha256');
      for await (const chunk of dispatcher.read(top, 0)) hashing.update(chunk);
      if (hashing.digest('hex') !== top) throw new Error('the layer is not itself');
    },
  };
}

function waitingHop(manifest: Uint8Array, digest: Digest): HopRecord {
  return {
    ...{ hopId: hopIdOf(digest), trainId: trainIdOf(digest), manifestDigest: digest, orderDigest: digest },
    ...{
      step: 'run',
      round: 1,
      attempt: 1,
      epoch: 1,
      dispatcher: 'dispatcher',
      order: new Uint8Array(1),
      manifest,
    },
    ...{ state: 'awaiting-clearance', receivedAtMs: 0, changedAtMs: 0, notes: {}, held: null, sealed: null },
  };
}

type Layer = { bytes: number; files: number; folder: string; changed: number };

/** Every third file is text; of a changed layer every tenth file differs. */
async function makeLayer(
  depot: Depot,
  { bytes, files, folder, changed }: Layer,
): Promise<TrainImage['layers'][number]> {
  const archive = pack();
  const noise = randomNoise(Math.ceil(bytes / files) * 2);
  const parts: Buffer[] = [];
  const gathered = (async () => {
    for await (const chunk of archive) parts.push(Buffer.from(chunk as Uint8Array));
  })();
  for (let at = 0; at < files; at++) {
    const mark = `${folder} ${at} ${at % 10 === 0 ? changed : 0}\n`;
    const isText = at % TEXT_EVERY === 0;
    const content = isText
      ? Buffer.from(mark.repeat(100))
      : Buffer.concat([Buffer.from(mark), noise.subarray(0, sizeOf(bytes, files))]);
    await new Promise<void>((resolve, reject) => {
      const name = `${folder}/part${at % 50}/file${at}${isText ? '.py' : '.so'}`;
      archive.entry({ name, mtime: new Date(0) }, content, (thrown) => (thrown ? reject(thrown) : resolve()));
    });
  }
  archive.finalize();
  await gathered;
  const tar = Buffer.concat(parts);
  return { diffId: await store(depot, tar), bytes: tar.byteLength };
}

/** What the texts leave over, evenly. */
function sizeOf(bytes: number, files: number): number {
  return Math.floor((bytes / files) * (TEXT_EVERY / (TEXT_EVERY - 1)));
}

/** The same for every run: what a layer holds besides its marks does not matter. */
const NOISE = randomBytes(1024 * 1024);
function randomNoise(bytes: number): Buffer {
  return Buffer.concat(Array.from({ length: Math.ceil(bytes / NOISE.byteLength) }, () => NOISE)).subarray(
    0,
    bytes,
  );
}

async function makeImage(depot: Depot, layers: TrainImage['layers']): Promise<TrainImage> {
  const config = Buffer.from(
    JSON.stringify({
      ...{ architecture: 'amd64', os: 'linux', config: { Entrypoint: ['/opt/train/run'] } },
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => `sha256:${diffId}`) },
    }),
  );
  const configDigest = await store(depot, config);
  return { configDigest, configBytes: config.byteLength, platform: 'linux/amd64', layers };
}

async function store(depot: Depot, bytes: Buffer): Promise<string> {
  const digest = hash('sha256', bytes, 'hex');
  async function* once(): AsyncGenerator<Uint8Array> {
    yield bytes;
  }
  await depot.write(digest, bytes.byteLength, 0, once());
  return digest;
}
