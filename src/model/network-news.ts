import { PhtError } from './error.ts';
import { datesOf, readCertificate } from './member-certificate.ts';
import type { Network } from './network.ts';

/** How a network file travels between members, and which of two is the newer one. Nothing here is a proof of anything. */

/** A thousand members with their past and their certificates. */
export const NETWORK_BYTES_MAX: number = 16 * 1024 * 1024;
export const PIECE_BYTES: number = 64 * 1024;

/** What a member says of the file that it holds, and of its own certificate in it; 0 for one it has not. */
export type HeldVersions = {
  readonly rootVersion: number;
  readonly networkVersion: number;
  readonly freshnessIssuedAtMs: bigint;
  readonly certificateNotAfterMs: bigint;
};

export function heldVersions(network: Network, member: string): HeldVersions {
  return {
    rootVersion: network.rootVersion,
    networkVersion: network.version,
    freshnessIssuedAtMs: BigInt(network.freshness.issuedAtMs),
    certificateNotAfterMs: BigInt(notAfterMsOf(network, member)),
  };
}

/** Whether `ours` holds anything that is newer than what a member says it has. */
export function isNewsFor(theirs: HeldVersions, ours: HeldVersions): boolean {
  return (
    ours.rootVersion > theirs.rootVersion ||
    ours.networkVersion > theirs.networkVersion ||
    ours.freshnessIssuedAtMs > theirs.freshnessIssuedAtMs ||
    ours.certificateNotAfterMs > theirs.certificateNotAfterMs
  );
}

function notAfterMsOf({ certificates }: Network, member: string): number {
  const text = certificates.get(member);
  const certificate = text === undefined ? null : readCertificate(text);
  return certificate === null ? 0 : datesOf(certificate).notAfterMs;
}

export function* piecesOf(file: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < file.byteLength; at += PIECE_BYTES) yield file.subarray(at, at + PIECE_BYTES);
}

/**
 * @returns the whole, empty when nothing came
 * @throws PhtError `input.too-large` as soon as it is
 */
export async function joined(pieces: AsyncIterable<{ piece: Uint8Array }>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const { piece } of pieces) {
    bytes += piece.byteLength;
    if (bytes > NETWORK_BYTES_MAX)
      throw new PhtError('input.too-large', `a network file has at most ${NETWORK_BYTES_MAX} bytes`);
    // A peer that sends empty pieces without end is bounded by the call's own deadline.
    if (piece.byteLength > 0) parts.push(piece);
  }
  return Buffer.concat(parts, bytes);
}
