/** Settings that both ends of the wire share. */

/** One message; blobs travel in chunks far below it. */
export const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;

/** HTTP/2 flow control window of a stream and of a connection: bounds what a slow reader makes us hold. */
export const WINDOW_BYTES = 1024 * 1024;

/** Well below the 60 s after which common proxies and firewalls forget an idle connection. */
export const KEEPALIVE = {
  'grpc.keepalive_time_ms': 15_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.keepalive_permit_without_calls': 1,
} as const;
