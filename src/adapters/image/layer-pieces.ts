import { setImmediate as turn } from 'node:timers/promises';

/** Of a tar: at most 256 headers, which take a few milliseconds, between two turns of the event loop. */
export const PIECE_BYTES: number = 128 * 1024;

/** Hands on a chunk of a tar piece by piece; trains run in the same thread, and a chunk may be all headers. */
export async function inPieces(chunk: Uint8Array, push: (piece: Uint8Array) => void): Promise<void> {
  for (let at = 0; at < chunk.byteLength; at += PIECE_BYTES) {
    push(chunk.subarray(at, at + PIECE_BYTES));
    await turn();
  }
}
