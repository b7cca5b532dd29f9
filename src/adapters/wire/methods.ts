import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  type Message,
} from '@bufbuild/protobuf';
import {
  type CallOptions as GrpcCallOptions,
  type Client as GrpcClient,
  Metadata,
  type MethodDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { PhtError } from '../../model/error.ts';
import type { CallOptions, Client } from '../../ports/wire.ts';
import { abortError } from './backoff.ts';
import { methodDefinition } from './service-definition.ts';
import { fromStatus } from './status.ts';

/** A client typed from its descriptor. Every failure is a PhtError; every early end cancels the call at the server. */

const UNARY_MS = 30_000;
/** setTimeout's own bound; longer means no deadline. */
const DEADLINE_MS_MAX = 2 ** 31 - 1;

type Init = Record<string, unknown>;
type Wire = { grpc: () => GrpcClient; method: DescMethod; definition: MethodDefinition<Message, Message> };

/** @param grpc asked for each call: a connection may be replaced by a newer one */
export function methodsOf<S extends DescService>(grpc: () => GrpcClient, service: S): Client<S> {
  const methods = service.methods.map((method) => {
    const wire: Wire = { grpc, method, definition: methodDefinition(method) };
    return [method.localName, callerFor(wire)] as const;
  });
  return Object.fromEntries(methods) as Client<S>;
}

function callerFor(wire: Wire): unknown {
  switch (wire.method.methodKind) {
    case 'unary':
      return (request: Init, options: CallOptions = {}) => unary(wire, request, options);
    case 'client_streaming':
      return (requests: AsyncIterable<Init>, options: CallOptions = {}) => upstream(wire, requests, options);
    case 'server_streaming':
      return (request: Init, options: CallOptions = {}) => downstream(wire, request, options);
    default:
      throw new TypeError(`${wire.method.name} streams both ways`);
  }
}

function unary({ grpc, method, definition }: Wire, init: Init, options: CallOptions): Promise<Message> {
  const { path, requestSerialize, responseDeserialize } = definition;
  const { signal } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(abortError(signal));
    const call = grpc().makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      messageOf(method.input, init),
      new Metadata(),
      deadlineOf({ deadlineMs: UNARY_MS, ...options }),
      (error, answer) => {
        signal?.removeEventListener('abort', cancel);
        if (error === null && answer !== undefined) resolve(answer);
        else reject(errorOf(error, signal));
      },
    );
    const cancel = () => call.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
  });
}

async function* downstream(
  { grpc, method, definition }: Wire,
  init: Init,
  options: CallOptions,
): AsyncGenerator<Message> {
  const { path, requestSerialize, responseDeserialize } = definition;
  const { signal } = options;
  if (signal?.aborted === true) throw abortError(signal);
  const request = messageOf(method.input, init);
  const deadline = deadlineOf(options);
  const call = grpc().makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
    new Metadata(),
    deadline,
  );
  const cancel = () => call.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  // Errors arrive through the iterator; one that comes after it was left must not end the process.
  call.on('error', () => undefined);
  try {
    for await (const message of call) yield message as Message;
  } catch (thrown) {
    throw isServiceError(thrown) ? errorOf(thrown, signal) : thrown;
  } finally {
    signal?.removeEventListener('abort', cancel);
    call.cancel();
  }
}

/**
 * An HTTP/2 stream that Node resets is half-closed first, so a cancelled upload would look complete to the server.
 * A truncated message (a tag without its end) goes ahead of it, which no server can take for the last one.
 */
const TORN = Buffer.of(0xff);
const TORN_MS = 1000;

async function upstream(wire: Wire, requests: AsyncIterable<Init>, options: CallOptions): Promise<Message> {
  const { path, requestSerialize, responseDeserialize } = wire.definition;
  const { signal, deadlineMs = DEADLINE_MS_MAX } = options;
  if (signal?.aborted === true) throw abortError(signal);
  const answer = Promise.withResolvers<Message>();
  // It may settle while requests are still being made.
  const settled = answer.promise.then(
    () => undefined,
    () => undefined,
  );
  let open = true;
  const call = wire.grpc().makeClientStreamRequest<Message | typeof TORN, Message>(
    path,
    (message) => (message === TORN ? TORN : requestSerialize(message as Message)),
    responseDeserialize,
    new Metadata(),
    // The timer below tears the call first; this one tells the server.
    deadlineOf({ deadlineMs: deadlineMs + 1000 }),
    (error, message) => {
      open = false;
      if (error === null && message !== undefined) answer.resolve(message);
      else answer.reject(errorOf(error, signal));
    },
  );
  call.on('error', () => undefined);
  const tear = (reason: PhtError): void => {
    if (!open) return;
    open = false;
    answer.reject(reason);
    call.write(TORN, () => call.cancel());
    // Behind a reader that is stuck it is never written; then nothing else is either.
    setTimeout(() => call.cancel(), TORN_MS).unref();
  };
  const overdue = () => tear(new PhtError('timed-out', 'the peer did not answer in time'));
  const aborted = () => signal !== undefined && tear(abortError(signal));
  const timer = deadlineMs < DEADLINE_MS_MAX ? setTimeout(overdue, deadlineMs) : undefined;
  signal?.addEventListener('abort', aborted, { once: true });
  try {
    await pump(requests, settled, (init) => {
      const message = messageOf(wire.method.input, init);
      return new Promise<void>((resolve) => void (open ? call.write(message, () => resolve()) : resolve()));
    });
    if (open) call.end();
    return await answer.promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', aborted);
    tear(new PhtError('cancelled', 'the source of the upload failed'));
  }
}

/** One message on its way at a time: the flow control of HTTP/2 reaches back to whoever makes them. */
async function pump(
  requests: AsyncIterable<Init>,
  settled: Promise<undefined>,
  write: (init: Init) => Promise<void>,
): Promise<void> {
  const iterator = requests[Symbol.asyncIterator]();
  for (;;) {
    const next = await Promise.race([iterator.next(), settled]);
    if (next?.done === true) return;
    // Answered before the end. Not awaited: a source that is stuck would hold the answer back.
    if (next === undefined) return void iterator.return?.().catch(() => undefined);
    await Promise.race([write(next.value), settled]);
  }
}

function messageOf(schema: DescMessage, init: Init): Message {
  return create<DescMessage>(schema, init);
}

function deadlineOf({ deadlineMs }: CallOptions): GrpcCallOptions {
  if (deadlineMs === undefined || deadlineMs > DEADLINE_MS_MAX) return {};
  return { deadline: Date.now() + deadlineMs };
}

function errorOf(error: ServiceError | null, signal: AbortSignal | undefined): PhtError {
  if (signal?.aborted === true) return abortError(signal);
  if (error !== null) return fromStatus(error);
  return fromStatus({ code: 13, details: 'an answer without a message', metadata: new Metadata() });
}

function isServiceError(thrown: unknown): thrown is ServiceError {
  return thrown instanceof Error && 'metadata' in thrown && thrown.metadata instanceof Metadata;
}
