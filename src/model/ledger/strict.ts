import { PhtError } from '../error.ts';

/** What a stranger wrote does not have the form that its C2SP specification gives it. */
export function invalid(message: string, cause?: unknown): PhtError {
  return new PhtError('ledger.invalid', message, cause === undefined ? {} : { cause });
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Text of at most `bytesMax` bytes of UTF-8. A byte order mark is kept, so that encoding the text again gives the same
 * bytes, which is what signatures are made over.
 */
export function strictText(input: Uint8Array | string, bytesMax: number, what: string): string {
  const bytes = typeof input === 'string' ? Buffer.byteLength(input) : input.byteLength;
  if (bytes > bytesMax) throw invalid(`${what} has ${bytes} bytes; at most ${bytesMax} are read`);
  if (typeof input === 'string') {
    if (!input.isWellFormed()) throw invalid(`${what} is not well-formed Unicode`);
    return input;
  }
  try {
    return UTF8.decode(input);
  } catch (cause) {
    throw invalid(`${what} is not UTF-8`, cause);
  }
}

/** Padded standard base64 (RFC 4648 section 4) in its one canonical spelling. */
export function strictBase64(text: string, what: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  // Buffer skips what it does not understand; only the canonical spelling survives the way back.
  if (bytes.toString('base64') !== text) throw invalid(`${what} is not canonical base64`);
  return bytes;
}

/** An ASCII decimal without leading zeros, at most 2^53 - 1. */
export function strictDecimal(text: string, what: string): number {
  const value = /^(?:0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw invalid(`${what} is not a decimal number below 2^53`);
  return value;
}

export function assertCount(value: number, what: string): void {
  if (!Number.isSafeInteger(value) || value < 0)
    throw invalid(`${what} is not a whole number from 0 to 2^53 - 1`);
}

export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}
