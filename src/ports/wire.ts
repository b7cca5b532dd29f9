import type {
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';
import type { Member } from '../model/network.ts';

/**
 * Services and clients typed from their protobuf descriptors, so that no verb knows gRPC. Errors are PhtErrors on both
 * sides: code, message and hint cross the wire, a cause never does.
 */

/** `caller` was authenticated by mutual TLS against the current network; null on the local admin socket. */
export type CallContext = { caller: Member | null; signal: AbortSignal };

type Served<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, context: CallContext) => Promise<MessageInitShape<O>>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageShape<I>, context: CallContext) => AsyncIterable<MessageInitShape<O>>
      : M extends DescMethodClientStreaming<infer I, infer O>
        ? (requests: AsyncIterable<MessageShape<I>>, context: CallContext) => Promise<MessageInitShape<O>>
        : never;

export type Service<S extends DescService> = { [K in keyof S['method']]: Served<S['method'][K]> };

/** Every call has a deadline; a stream that is meant to stay open has none but its keepalive. */
export type CallOptions = { deadlineMs?: number; signal?: AbortSignal };

type Called<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: CallOptions) => AsyncIterable<MessageShape<O>>
      : M extends DescMethodClientStreaming<infer I, infer O>
        ? (requests: AsyncIterable<MessageInitShape<I>>, options?: CallOptions) => Promise<MessageShape<O>>
        : never;

export type Client<S extends DescService> = { [K in keyof S['method']]: Called<S['method'][K]> };
