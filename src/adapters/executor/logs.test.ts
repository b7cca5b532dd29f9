import fc from 'fast-check';
import { expect, it } from 'vitest';
import { demultiplexer } from './logs.ts';

function frame(stream: number, payload: Uint8Array): Buffer {
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(payload.byteLength, 4);
  return Buffer.concat([header, payload]);
}

it('gives the payloads back however the frames are cut', () => {
  const cutting = fc.tuple(
    fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }),
    fc.integer({ min: 1, max: 13 }),
  );
  fc.assert(
    fc.property(cutting, ([payloads, step]) => {
      const all = Buffer.concat(payloads.map((payload, at) => frame(1 + (at % 2), payload)));
      const seen: Uint8Array[] = [];
      const take = demultiplexer((chunk) => seen.push(Buffer.from(chunk)));
      for (let at = 0; at < all.byteLength; at += step) take(all.subarray(at, at + step));
      expect(Buffer.concat(seen)).toEqual(Buffer.concat(payloads));
    }),
  );
});

it('keeps no more than its bound and reads on', () => {
  let kept = 0;
  const take = demultiplexer((chunk) => {
    kept += chunk.byteLength;
  }, 100);
  for (let at = 0; at < 50; at++) take(frame(1, Buffer.alloc(30)));
  expect(kept).toBe(100);
});
