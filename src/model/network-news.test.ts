import fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeNetwork } from '../../test/fakes/network.ts';
import { heldVersions, isNewsFor, joined, NETWORK_BYTES_MAX, PIECE_BYTES, piecesOf } from './network-news.ts';

async function* wired(pieces: Iterable<Uint8Array>) {
  for (const piece of pieces) yield { piece };
}

test('pieces of any file come together again, each small enough', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 4 * PIECE_BYTES }), async (bytes) => {
      const file = Buffer.alloc(bytes, 7);
      const pieces = [...piecesOf(file)];
      expect(pieces.every((piece) => piece.byteLength <= PIECE_BYTES)).toBe(true);
      expect(Buffer.from(await joined(wired(pieces))).equals(file)).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test('more than a file may have is given up before it is all here', async () => {
  let sent = 0;
  const endless = (function* () {
    for (;;) {
      sent += PIECE_BYTES;
      yield Buffer.alloc(PIECE_BYTES);
    }
  })();
  await expect(joined(wired(endless))).rejects.toMatchObject({ code: 'input.too-large' });
  expect(sent).toBeLessThanOrEqual(NETWORK_BYTES_MAX + PIECE_BYTES);
});

test('news is whatever is newer in any of the four', async () => {
  const { network } = await makeNetwork();
  const held = heldVersions(network, 'north');
  expect(isNewsFor(held, held)).toBe(false);
  expect(held.certificateNotAfterMs).toBeGreaterThan(0n);
  for (const older of [
    { rootVersion: 0 },
    { networkVersion: 0 },
    { freshnessIssuedAtMs: 0n },
    { certificateNotAfterMs: 0n },
  ]) {
    expect(isNewsFor({ ...held, ...older }, held)).toBe(true);
    expect(isNewsFor(held, { ...held, ...older })).toBe(false);
  }
});
