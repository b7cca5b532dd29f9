import type { DatasetDescription } from '../../src/model/dataset.ts';
import { PhtError } from '../../src/model/error.ts';
import { digestOf } from '../../src/model/id.ts';
import type { Datasets } from '../../src/ports/datasets.ts';
import type { Depot } from '../../src/ports/depot.ts';
import type { BlobSource } from '../../src/ports/spool.ts';

/** Datasets in memory: their bytes are a string that a test may change at any moment. */
export type FakeDatasets = Datasets & { readonly contents: Map<string, string> };

export function createFakeDatasets(contents: Readonly<Record<string, string>>): FakeDatasets {
  const held = new Map(Object.entries(contents));
  return {
    contents: held,
    list: async () => [...held.keys()].map(describe),
    open: async (id) => {
      const bytes = held.get(id);
      if (bytes === undefined) throw new PhtError('dataset.unknown', `this station has no dataset ${id}`);
      return {
        description: describe(id),
        files: [{ name: `${id}.csv`, path: `/nowhere/${id}.csv` }],
        snapshotDigest: digestOf(bytes),
      };
    },
  };
}

function describe(id: string): DatasetDescription {
  return {
    id,
    title: `Dataset ${id}`,
    files: [`${id}.csv`],
    format: 'csv',
    columns: [{ name: 'status', type: 'integer' }],
  };
}

/** Blobs of a dispatcher that may lie: what it sends for a digest need not have it. */
export function createFakeBlobs(depot: Depot, blobs: ReadonlyMap<string, Uint8Array>): BlobSource {
  return {
    fetch: async (_trainId, digest, bytesTotal, signal) => {
      signal.throwIfAborted();
      const { complete } = await depot.status(digest);
      if (complete) return;
      const bytes = blobs.get(digest);
      if (bytes === undefined) throw new PhtError('unreachable', 'the dispatcher does not send this blob');
      const written = await depot.write(digest, bytesTotal, 0, once(bytes));
      if (!written.complete) throw new PhtError('unreachable', 'the blob broke off');
    },
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
