import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  DepotService,
  UploadHeader,
  UploadRequest,
  UploadRequestSchema,
} from '../../gen/pht/v1/depot_pb.ts';
import { PhtError } from '../../model/error.ts';
import type { Depot } from '../../ports/depot.ts';
import type { Client } from '../../ports/wire.ts';
import { type RetryOptions, retrying } from './backoff.ts';

/** Blobs over the wire in both directions, from where the last attempt stopped. */

type DepotClient = Client<typeof DepotService>;

/** One attempt: longer transfers go on from their offset. */
const ATTEMPT_MS_MAX = 10 * 60_000;

/** A sender of whom no byte comes for so long is given up, since a station runs few trains at once. */
const SILENCE_MS_MAX = 60_000;

export type TransferOptions = {
  /** Called with the bytes of each chunk that moved; what was there before is not counted. */
  onBytes?: (bytes: number) => void;
  signal?: AbortSignal;
  /** Attempts in a row after which the other end holds no more than before. */
  attemptsMax?: number;
  /** How long a sender may send nothing. */
  silenceMsMax?: number;
};

const ATTEMPTS_MAX = 8;

/** @throws PhtError whatever the depot at the other end says, `unreachable` and `timed-out` after the last attempt */
export function uploadBlob(
  client: DepotClient,
  trainId: string,
  digest: string,
  bytesTotal: number,
  depot: Depot,
  options: TransferOptions = {},
): Promise<void> {
  const { signal } = options;
  let furthest = 0;
  return retrying(
    async ({ progressed }) => {
      const call = callOptions(signal);
      const standing = await client.uploadOffset({ trainId, digest }, signal === undefined ? {} : { signal });
      if (standing.complete) return;
      const offset = Number(standing.offset);
      if (offset > bytesTotal)
        throw new PhtError('image.mismatch', 'the depot holds more than this blob has');
      if (offset > furthest) progressed();
      furthest = Math.max(furthest, offset);
      const counted = counting(depot.read(digest, offset), options.onBytes);
      const answer = await client.upload(uploadParts(trainId, digest, offset, counted), call);
      if (!answer.complete)
        throw new PhtError('unreachable', 'the upload ended before the blob was complete');
    },
    // The depot may still hold the writer of a connection that broke a moment ago.
    retryOptions(options, (error) => error.code === 'conflict'),
  );
}

/**
 * Why a blob did not come is this end's own finding: the sender's codes and words would stand in whatever is signed
 * about it.
 *
 * @throws PhtError `image.mismatch` when the peer sent other bytes than the digest names, `image.missing` when it hands
 *   out none, `unreachable` and `timed-out` after the last attempt
 */
export function downloadBlob(
  client: DepotClient,
  trainId: string,
  digest: string,
  bytesTotal: number,
  depot: Depot,
  options: TransferOptions = {},
): Promise<void> {
  const { signal, silenceMsMax = SILENCE_MS_MAX } = options;
  let furthest = 0;
  return retrying(
    async ({ progressed }) => {
      const standing = await depot.status(digest);
      if (standing.complete) return;
      // What another declared size left behind is discarded by the depot.
      const offset = standing.bytes > bytesTotal ? 0 : standing.bytes;
      if (offset > furthest) progressed();
      furthest = Math.max(furthest, offset);
      const patience = listening(silenceMsMax);
      const either = signal === undefined ? patience.signal : AbortSignal.any([signal, patience.signal]);
      const messages = client.download({ trainId, digest, offset: BigInt(offset) }, callOptions(either));
      const counted = counting(chunksIn(messages, signal), (bytes) => {
        if (bytes > 0) patience.heard();
        options.onBytes?.(bytes);
      });
      const held = await depot
        .write(digest, bytesTotal, offset, counted)
        .catch(blameSender)
        .finally(patience.done);
      if (!held.complete)
        throw new PhtError('unreachable', 'the download ended before the blob was complete');
    },
    retryOptions(options, () => false),
  );
}

/** Aborts when `heard` was not called for `msMax`. */
function listening(msMax: number): { signal: AbortSignal; heard(): void; done(): void } {
  const controller = new AbortController();
  const timer = setTimeout(
    () => controller.abort(new PhtError('unreachable', 'the peer stopped sending in the middle of a blob')),
    msMax,
  );
  return { signal: controller.signal, heard: () => void timer.refresh(), done: () => clearTimeout(timer) };
}

/** Here the declared size was signed, so whoever sends more sends something else. */
function blameSender(thrown: unknown): never {
  if (!(thrown instanceof PhtError) || thrown.code !== 'input.too-large') throw thrown;
  throw new PhtError('image.mismatch', 'the peer sent more bytes than the blob of this digest has', {
    cause: thrown,
  });
}

/**
 * The receiving end of an upload: the header, which must come first, and the chunks after it.
 *
 * @throws PhtError `input.malformed`
 */
export async function openUpload(
  requests: AsyncIterable<UploadRequest>,
): Promise<{ header: UploadHeader; chunks: AsyncIterable<Uint8Array> }> {
  const iterator = requests[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done === true || first.value.part.case !== 'header') {
    throw new PhtError('input.malformed', 'an upload starts with its header');
  }
  const rest: AsyncIterable<UploadRequest> = { [Symbol.asyncIterator]: () => iterator };
  return { header: first.value.part.value, chunks: uploadedChunks(rest) };
}

async function* uploadedChunks(requests: AsyncIterable<UploadRequest>): AsyncGenerator<Uint8Array> {
  for await (const { part } of requests) {
    if (part.case !== 'chunk') throw new PhtError('input.malformed', 'an upload has one header, then chunks');
    yield part.value;
  }
}

async function* uploadParts(
  trainId: string,
  digest: string,
  offset: number,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<MessageInitShape<typeof UploadRequestSchema>> {
  yield { part: { case: 'header', value: { trainId, digest, offset: BigInt(offset) } } };
  for await (const value of chunks) yield { part: { case: 'chunk', value } };
}

async function* chunksIn(
  messages: AsyncIterable<{ chunk: Uint8Array }>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const { chunk } of messages) yield chunk;
  } catch (thrown) {
    throw signal?.aborted === true ? thrown : inOwnWords(thrown);
  }
}

function inOwnWords(thrown: unknown): unknown {
  if (!(thrown instanceof PhtError)) return thrown;
  const { code } = thrown;
  if (code === 'unreachable')
    return new PhtError(code, 'the connection to the depot was lost', { cause: thrown });
  if (code === 'timed-out') return new PhtError(code, 'the depot did not answer in time', { cause: thrown });
  return new PhtError('image.missing', 'the depot does not hand out a blob of the image', { cause: thrown });
}

async function* counting(
  chunks: AsyncIterable<Uint8Array>,
  onBytes: ((bytes: number) => void) | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    yield chunk;
    // Only what was taken counts: after the yield, the chunk before it has been passed on.
    onBytes?.(chunk.byteLength);
  }
}

function callOptions(signal: AbortSignal | undefined): { deadlineMs: number; signal?: AbortSignal } {
  return signal === undefined ? { deadlineMs: ATTEMPT_MS_MAX } : { deadlineMs: ATTEMPT_MS_MAX, signal };
}

function retryOptions(
  { signal, attemptsMax = ATTEMPTS_MAX }: TransferOptions,
  retryAlso: (error: PhtError) => boolean,
): RetryOptions {
  return { attemptsMax, retryAlso, ...(signal === undefined ? {} : { signal }) };
}
