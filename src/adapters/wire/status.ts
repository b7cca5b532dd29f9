import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import { asPhtError, type ErrorCode, isErrorCode, PhtError } from '../../model/error.ts';

/**
 * The one place that maps error codes to gRPC status and back. Code, message and hint travel in the trailers; a cause
 * or a stack never does, and what a peer sends is cut and cleaned before a person or a terminal sees it.
 */
const TEXT_CHARS_MAX = 500;
const CODE_KEY = 'pht-code-bin';
const MESSAGE_KEY = 'pht-message-bin';
const HINT_KEY = 'pht-hint-bin';

/** Only for proxies, metrics and foreign tools: our own peers read the exact code. */
const STATUS_OF: Partial<Record<ErrorCode, status>> = {
  'usage.invalid': status.INVALID_ARGUMENT,
  'input.malformed': status.INVALID_ARGUMENT,
  'input.too-large': status.RESOURCE_EXHAUSTED,
  'quota.exceeded': status.RESOURCE_EXHAUSTED,
  'policy.denied': status.PERMISSION_DENIED,
  forbidden: status.PERMISSION_DENIED,
  'signer.unknown': status.UNAUTHENTICATED,
  'not-found': status.NOT_FOUND,
  'dataset.unknown': status.NOT_FOUND,
  conflict: status.ABORTED,
  'stale.epoch': status.ABORTED,
  replayed: status.ALREADY_EXISTS,
  cancelled: status.CANCELLED,
  unreachable: status.UNAVAILABLE,
  'timed-out': status.DEADLINE_EXCEEDED,
  internal: status.INTERNAL,
};

/** Anything thrown, as what may be sent to a peer. */
export function toStatus(thrown: unknown): StatusObject {
  const error = fullDisk(thrown) ?? asPhtError(thrown);
  const details = cleanText(error.message);
  const metadata = new Metadata();
  metadata.set(CODE_KEY, Buffer.from(error.code));
  metadata.set(MESSAGE_KEY, Buffer.from(details));
  if (error.hint !== undefined) metadata.set(HINT_KEY, Buffer.from(cleanText(error.hint)));
  return { code: STATUS_OF[error.code] ?? status.FAILED_PRECONDITION, details, metadata };
}

/** SQLITE_FULL (https://www.sqlite.org/rescode.html). */
const STORE_FULL = 13;

/** The one trouble of this machine that a peer is told: it passes, and trying again then is right. */
function fullDisk(thrown: unknown): PhtError | null {
  if (!(thrown instanceof Error)) return null;
  const full = 'code' in thrown && (thrown.code === 'ENOSPC' || thrown.code === 'EDQUOT');
  if (!full && !('errcode' in thrown && thrown.errcode === STORE_FULL)) return null;
  return new PhtError('unreachable', 'the peer can take nothing more: its disk is full', {
    cause: thrown,
    hint: 'tell its operator; nothing is lost, and trying again later goes on where this stopped',
  });
}

/** What arrived from a peer or from the transport. Hostile: an unknown code is `internal`, texts are cleaned. */
export function fromStatus(received: StatusObject): PhtError {
  const code = textIn(received.metadata, CODE_KEY);
  if (code === undefined) return fromTransport(received);
  const message = textIn(received.metadata, MESSAGE_KEY) || 'the peer gave no reason';
  const hint = textIn(received.metadata, HINT_KEY);
  const options = hint === undefined || hint === '' ? {} : { hint };
  return new PhtError(isErrorCode(code) ? code : 'internal', message, options);
}

/** True of errors that trying again may cure. */
export function isTransient(thrown: unknown): boolean {
  return thrown instanceof PhtError && (thrown.code === 'unreachable' || thrown.code === 'timed-out');
}

/** One line without control or formatting characters, at most 500 characters, well-formed UTF-16. */
export function cleanText(text: string): string {
  return text
    .slice(0, 4 * TEXT_CHARS_MAX)
    .replace(/[\s\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
    .slice(0, TEXT_CHARS_MAX)
    .toWellFormed();
}

/** A status that no service of ours made: gRPC itself, TLS, a proxy or a broken connection. */
function fromTransport(received: StatusObject): PhtError {
  const details = cleanText(received.details);
  const cause = new Error(`gRPC status ${received.code}: ${details}`);
  switch (received.code) {
    case status.DEADLINE_EXCEEDED:
      return new PhtError('timed-out', 'the peer did not answer in time', { cause });
    case status.RESOURCE_EXHAUSTED:
      return new PhtError('input.too-large', 'the message is larger than the peer accepts', { cause });
    case status.UNAUTHENTICATED:
    case status.PERMISSION_DENIED:
      return new PhtError('forbidden', 'the peer refused the call', { cause });
    case status.UNIMPLEMENTED:
      return new PhtError('internal', 'the peer does not know this call', {
        cause,
        hint: 'one of the two runs another version of the software; update the older one',
      });
    case status.UNAVAILABLE:
    case status.CANCELLED:
      return new PhtError('unreachable', unreachableText(details), { cause });
    default:
      // grpc-js reports a connection that breaks in the middle of a call as INTERNAL.
      if (/RST_STREAM|ECONNRESET|EPIPE|[Cc]onnection/.test(details)) {
        return new PhtError('unreachable', unreachableText(details), { cause });
      }
      return new PhtError('internal', 'the call failed at the peer', { cause });
  }
}

function unreachableText(details: string): string {
  if (/alert/i.test(details)) return 'the peer refused the certificate of this member';
  const reason = /Last error: (?:Error: )?(.*?)(?:\. Resolution note:.*)?$/.exec(details)?.[1] ?? '';
  return reason === ''
    ? 'the connection to the peer was lost'
    : cleanText(`the peer is unreachable: ${reason}`);
}

function textIn(metadata: Metadata, key: string): string | undefined {
  const [value, ...more] = metadata.get(key);
  if (value === undefined || more.length > 0) return undefined;
  return cleanText(Buffer.from(value).toString('utf8'));
}
