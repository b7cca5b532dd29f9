import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ResultResponseSchema } from '../../gen/pht/v1/journeys_pb.ts';
import { PhtError } from '../../model/error.ts';
import type { Stop, Train } from '../../ports/dispatcher-store.ts';
import { committed } from './commit.ts';
import type { Desk } from './desk.ts';
import { journeyOf } from './view.ts';

/** Below the 4 MiB of one message; the largest single result has 2 MiB. */
const PAGE_BYTES_MAX = 3 * 1024 * 1024;

/** What the train brought back so far, in as many pages as it takes. The first page of each fetch goes on record. */
export async function resultPage(
  train: Train,
  pageToken: string,
  desk: Desk,
): Promise<MessageInitShape<typeof ResultResponseSchema>> {
  const stops = desk.store.stops.list({ trainId: train.trainId });
  const first = firstOf(pageToken, stops);
  if (first === 0) recordFetch(train, stops, desk);
  const results = [];
  let bytes = train.manifest.length;
  let next = first;
  for (const { hopId, station, order, orderedAt } of stops.slice(first)) {
    const sealed = desk.store.stops.sealed(hopId);
    // Made anew, so that it is under the newest published checkpoint.
    const orderProof = await desk.prove(orderedAt);
    const { receipt, jwe, proof: receiptProof } = { ...NOTHING, ...sealed };
    const result = { station, order, receipt, jwe: jwe ?? EMPTY, orderProof, receiptProof };
    bytes += [order, receipt, result.jwe, orderProof, receiptProof].reduce(
      (sum, each) => sum + each.length,
      0,
    );
    if (bytes > PAGE_BYTES_MAX && results.length > 0) break;
    results.push(result);
    next += 1;
  }
  return {
    journey: journeyOf(train, desk),
    manifest: train.manifest,
    results,
    nextPageToken: next < stops.length ? String(next) : '',
  };
}

const EMPTY = new Uint8Array();
const NOTHING = { receipt: EMPTY, jwe: EMPTY, proof: EMPTY };

function firstOf(pageToken: string, stops: readonly Stop[]): number {
  if (pageToken === '') return 0;
  const first = /^[1-9][0-9]{0,3}$/.test(pageToken) ? Number(pageToken) : Number.NaN;
  if (first < stops.length) return first;
  throw new PhtError('input.malformed', 'this page token was not given by this dispatcher');
}

/** Once for each set of receipts that there was to fetch, so that asking again and again does not grow the ledger. */
function recordFetch(train: Train, stops: readonly Stop[], desk: Desk): void {
  const receipts = stops.filter(({ receiptDigest }) => receiptDigest !== null).length;
  if (receipts === 0) return;
  const { trainId, manifestDigest, researcher, state } = train;
  const key = `${trainId} ${state} ${receipts}`;
  desk.store.atomically(() => {
    if (desk.store.replies.find(researcher, 'Result', key) !== null) return;
    const atMs = desk.clock.nowMs();
    desk.store.replies.put(researcher, 'Result', key, {
      requestDigest: manifestDigest,
      response: EMPTY,
      atMs,
    });
    const head = { trainId, manifestDigest, hopId: null, attempt: null, epoch: null, prev: null };
    const body = { researcherCommitment: committed(researcher, desk.store), receipts };
    desk.store.append([{ type: 'result.fetched', ...head, body }], atMs);
    desk.publish();
  });
}
