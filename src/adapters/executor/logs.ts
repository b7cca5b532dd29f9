/** How much of what one train prints is kept. */
export const LOG_BYTES_MAX = 1024 * 1024;
const HEADER_BYTES = 8;

/**
 * Takes the engine's frames apart (stream 1 or 2, three zeros, length as 32 bits big-endian, payload) and hands the
 * payloads on until `bytesMax`; the rest is read and dropped, so that a train that prints for ever blocks nobody.
 */
export function demultiplexer(
  log: (chunk: Uint8Array) => void,
  bytesMax: number = LOG_BYTES_MAX,
): (chunk: Uint8Array) => void {
  let header: Uint8Array = new Uint8Array(0);
  let left = 0;
  let room = bytesMax;
  return (chunk) => {
    let rest = chunk;
    while (rest.byteLength > 0) {
      if (left === 0) {
        const taken = Math.min(HEADER_BYTES - header.byteLength, rest.byteLength);
        header = Buffer.concat([header, rest.subarray(0, taken)]);
        rest = rest.subarray(taken);
        if (header.byteLength < HEADER_BYTES) return;
        left = new DataView(header.buffer, header.byteOffset, HEADER_BYTES).getUint32(4);
        header = new Uint8Array(0);
        continue;
      }
      const payload = rest.subarray(0, left);
      left -= payload.byteLength;
      rest = rest.subarray(payload.byteLength);
      const kept = payload.subarray(0, room);
      room -= kept.byteLength;
      if (kept.byteLength > 0) log(kept);
    }
  };
}
