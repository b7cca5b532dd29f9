import type { DepotService, UploadHeader, UploadRequest } from '../../gen/pht/v1/depot_pb.ts';
import { PhtError } from '../../model/error.ts';
import type { Train } from '../../ports/dispatcher-store.ts';
import type { Service } from '../../ports/wire.ts';
import { blobsOf, manifestOf } from './admit.ts';
import { callerOf, type Desk } from './desk.ts';
import type { DepotOf } from './loading.ts';
import { isEnded } from './route.ts';
import { ownTrain } from './view.ts';

/**
 * Blobs in and out. Uploading needs a train of one's own that is still loading, and only what its manifest declares;
 * downloading needs an order that has not ended (protocol, section 5).
 */
export function depotService(desk: Desk, depotOf: DepotOf): Service<typeof DepotService> {
  return {
    uploadOffset: async ({ trainId, digest }, context) => {
      const researcher = callerOf(context, 'researcher').id;
      const train = ownTrain(trainId, researcher, desk);
      const bytes = declared(train, digest);
      const held = await depotOf(researcher).status(digest);
      if (held.complete) owns(researcher, digest, bytes, desk);
      // A researcher who was killed after departing asks again from the start; what is there is still there.
      else assertLoading(train);
      return { offset: BigInt(held.bytes), complete: held.complete };
    },
    upload: async (requests, context) => {
      const researcher = callerOf(context, 'researcher').id;
      const iterator = requests[Symbol.asyncIterator]();
      const { trainId, digest, offset } = await headerOf(iterator);
      const train = ownTrain(trainId, researcher, desk);
      const bytes = declared(train, digest);
      assertLoading(train);
      if (offset > BigInt(bytes))
        throw new PhtError('input.too-large', 'the upload starts behind the end of its blob');
      const held = await depotOf(researcher).write(digest, bytes, Number(offset), chunksOf(iterator));
      if (held.complete) owns(researcher, digest, bytes, desk);
      return { offset: BigInt(held.bytes), complete: held.complete };
    },
    download: async function* ({ trainId, digest, offset }, context) {
      const station = callerOf(context, 'station').id;
      const train = visited(trainId, station, desk);
      const bytes = blobsOf(manifestOf(train)).get(digest);
      if (bytes === undefined || offset > BigInt(bytes)) throw notFound();
      for await (const chunk of depotOf(train.researcher).read(digest, Number(offset))) yield { chunk };
    },
  };
}

/** @returns the declared size. @throws PhtError `not-found` for a blob of another train */
function declared(train: Train, digest: string): number {
  const bytes = blobsOf(manifestOf(train)).get(digest);
  if (bytes === undefined) throw notFound();
  return bytes;
}

function assertLoading({ state }: Train): void {
  if (state !== 'loading') {
    throw new PhtError('conflict', 'the train is not loading; nothing more is taken');
  }
}

function owns(researcher: string, digest: string, bytes: number, desk: Desk): void {
  if (desk.store.blobs.owned(researcher).has(digest)) return;
  desk.store.atomically(() => desk.store.blobs.own(researcher, digest, bytes));
}

/** One answer for a train, a stop and a blob that are not there: a digest is no capability. */
function visited(trainId: string, station: string, desk: Desk): Train {
  const stop = desk.store.stops.list({ trainId }).find((each) => each.station === station);
  const train = desk.store.trains.find(trainId);
  if (stop === undefined || isEnded(stop.state) || train === null) throw notFound();
  return train;
}

function notFound(): PhtError {
  return new PhtError('not-found', 'there is no such blob for this member');
}

async function headerOf(iterator: AsyncIterator<UploadRequest>): Promise<UploadHeader> {
  const first = await iterator.next();
  if (first.done !== true && first.value.part.case === 'header') return first.value.part.value;
  throw new PhtError('input.malformed', 'an upload starts with its header');
}

async function* chunksOf(iterator: AsyncIterator<UploadRequest>): AsyncGenerator<Uint8Array> {
  for await (const { part } of { [Symbol.asyncIterator]: () => iterator }) {
    if (part.case !== 'chunk') throw new PhtError('input.malformed', 'an upload has one header, then chunks');
    yield part.value;
  }
}
