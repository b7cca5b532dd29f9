import type { EventEmitter } from 'node:events';
import { create, type DescMessage, type DescMethod, type Message } from '@bufbuild/protobuf';
import type {
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
} from '@grpc/grpc-js';
import { PhtError } from '../../model/error.ts';
import type { Member } from '../../model/network.ts';
import type { CallContext } from '../../ports/wire.ts';
import { abortError } from './backoff.ts';
import { methodDefinition } from './service-definition.ts';
import { toStatus } from './status.ts';

/** Turns one implementation into what grpc-js calls: authentication first, one deadline, one place for errors. */

type Incoming = ServerUnaryCall<Message, Message> | ServerReadableStream<Message, Message> | Outgoing;
type Outgoing = ServerWritableStream<Message, Message>;
export type Answerer =
  | handleUnaryCall<Message, Message>
  | handleClientStreamingCall<Message, Message>
  | handleServerStreamingCall<Message, Message>;

export type Frame = {
  method: DescMethod;
  /** Throws for whoever may not call; asked again before each message of a stream. */
  authenticate(call: Incoming): Member | null;
  deadlineMs: number | 'open';
  /** Has `check` asked again whenever who is a member may have changed. @returns to be called at the end */
  watch(check: () => void, end: (why: PhtError) => void): () => void;
  /** Aborts when the server goes away. */
  closing: AbortSignal;
  onFailure(path: string, caller: string | null, error: unknown): void;
};

type Answer = Record<string, unknown>;

export function answererFor(frame: Frame, implementation: unknown): Answerer {
  const { output, methodKind } = frame.method;
  const answerOf = (init: unknown): Message => create<DescMessage>(output, init as Answer);
  if (methodKind === 'unary') {
    const serve = implementation as (request: Message, context: CallContext) => Promise<unknown>;
    const handler: handleUnaryCall<Message, Message> = (call, respond) =>
      void framed(frame, call, (context) => serve(call.request, context)).then(
        (init) => respond(null, answerOf(init)),
        (thrown) => respond(toStatus(thrown)),
      );
    return handler;
  }
  if (methodKind === 'client_streaming') {
    const serve = implementation as (
      requests: AsyncIterable<Message>,
      context: CallContext,
    ) => Promise<unknown>;
    const handler: handleClientStreamingCall<Message, Message> = (call, respond) =>
      void framed(frame, call, (context) => serve(requestsOf(call, context.signal), context)).then(
        (init) => respond(null, answerOf(init)),
        (thrown) => respond(toStatus(thrown)),
      );
    return handler;
  }
  if (methodKind !== 'server_streaming') throw new TypeError(`${frame.method.name} streams both ways`);
  const serve = implementation as (request: Message, context: CallContext) => AsyncIterable<unknown>;
  const handler: handleServerStreamingCall<Message, Message> = (call) =>
    void framed(frame, call, (context) =>
      send(frame, call, context, serve(call.request, context), answerOf),
    ).then(
      () => call.end(),
      (thrown) => call.emit('error', toStatus(thrown)),
    );
  return handler;
}

/** Runs one call under its signal, which aborts on cancellation, on the deadline and when the server closes. */
async function framed<T>(
  frame: Frame,
  call: Incoming,
  body: (context: CallContext) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const { signal } = controller;
  let caller: Member | null = null;
  let unwatch = (): void => undefined;
  const abort = (code: 'cancelled' | 'timed-out' | 'unreachable', message: string) =>
    controller.abort(new PhtError(code, message));
  const onClosing = () => abort('unreachable', 'the server is going away');
  const onCancelled = () => abort('cancelled', 'the caller went away');
  const timer =
    frame.deadlineMs === 'open'
      ? undefined
      : setTimeout(
          () => abort('timed-out', 'the server stopped working on a call that took too long'),
          frame.deadlineMs,
        );
  // The three kinds of call share no type in which this event is listed.
  const events: EventEmitter = call;
  events.once('cancelled', onCancelled);
  frame.closing.addEventListener('abort', onClosing);
  try {
    if (frame.closing.aborted) onClosing();
    caller = frame.authenticate(call);
    unwatch = frame.watch(
      () => frame.authenticate(call),
      (why) => controller.abort(why),
    );
    return await Promise.race([body({ caller, signal }), rejection(signal)]);
  } catch (thrown) {
    frame.onFailure(methodDefinition(frame.method).path, caller?.id ?? null, thrown);
    throw thrown;
  } finally {
    clearTimeout(timer);
    unwatch();
    events.removeListener('cancelled', onCancelled);
    frame.closing.removeEventListener('abort', onClosing);
    // What the implementation left running behind an answer hears that nobody waits any more.
    abort('cancelled', 'the call has ended');
  }
}

async function* requestsOf(
  call: ServerReadableStream<Message, Message>,
  signal: AbortSignal,
): AsyncGenerator<Message> {
  try {
    // Destroying the stream would tear down the answer with it.
    for await (const message of call.iterator({ destroyOnReturn: false })) {
      signal.throwIfAborted();
      yield message as Message;
    }
  } catch (thrown) {
    throw signal.aborted ? abortError(signal) : thrown;
  }
  // The stream of a caller that went away may simply end: it must not look complete.
  if (signal.aborted) throw abortError(signal);
}

async function send(
  frame: Frame,
  call: Outgoing,
  { signal }: CallContext,
  messages: AsyncIterable<unknown>,
  answerOf: (init: unknown) => Message,
): Promise<void> {
  const iterator = messages[Symbol.asyncIterator]();
  const aborted = rejection(signal);
  let ended = false;
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted]);
      if (next.done === true) break;
      // A member that was revoked hears nothing more, however long its stream has been open.
      frame.authenticate(call);
      const flushed = new Promise<void>((resolve) => void call.write(answerOf(next.value), () => resolve()));
      await Promise.race([flushed, aborted]);
    }
    ended = true;
  } finally {
    // Not awaited: a generator that waits for something else returns only after that.
    if (!ended)
      void iterator.return?.().catch((thrown: unknown) => frame.onFailure(call.getPath(), null, thrown));
  }
}

/** Never resolves; rejects with the reason of the abort. */
function rejection(signal: AbortSignal): Promise<never> {
  const promise = new Promise<never>((_resolve, reject) => {
    if (signal.aborted) reject(abortError(signal));
    else signal.addEventListener('abort', () => reject(abortError(signal)), { once: true });
  });
  // Nobody may be racing any more when it rejects.
  promise.catch(() => undefined);
  return promise;
}
