import { PhtError } from '../../model/error.ts';
import { bounded } from './connect.ts';
import { demultiplexer } from './logs.ts';

export const RESULT_NAME = 'result.json';

export type Collected =
  | { kind: 'output'; bytes: Uint8Array }
  | { kind: 'none' }
  | { kind: 'refused'; why: string };

export type HandOut = {
  /** Takes `/out/result.json`, once and only after the train has ended: while it runs it could swap the path. */
  take(bytesMax: number): Promise<Collected>;
  /** Whether the holder has ended, by an engine's restart or by somebody tidying up. */
  isOver(): boolean;
};

const LINE_BYTES_MAX = 64;

/**
 * The holder's own program reads the one file, from inside the sandbox that it shares with nothing but the volume, and
 * says it on its standard output. The engine's archive would do too, but starts a process of its own for it, which takes
 * 40 ms.
 *
 * @param stream the holder's standard input and output, attached before it was started
 */
export function createHandOut(stream: NodeJS.ReadWriteStream): HandOut {
  let ended = false;
  const onEnd = (): void => {
    ended = true;
  };
  stream.on('error', onEnd).once('end', onEnd).once('close', onEnd);
  const take: HandOut['take'] = (bytesMax) =>
    bounded(
      'hand out the result',
      () =>
        new Promise<Collected>((resolve, reject) => {
          const lost = (): void => reject(new Error('what keeps the volume has ended'));
          if (ended) return lost();
          const read = readAnswer(bytesMax);
          const onData = demultiplexer((chunk) => {
            try {
              const found = read(chunk);
              if (found !== undefined) resolve(found);
            } catch (thrown) {
              reject(thrown);
            }
          }, bytesMax + LINE_BYTES_MAX);
          stream.on('data', onData).once('end', lost).once('close', lost).once('error', lost);
          stream.write('\n');
        }),
    );
  return { take, isOver: () => ended };
}

/**
 * Reads the answer of `cell hold` as it comes: a line, and for a file its bytes.
 *
 * @returns a function that takes the next chunk and gives the whole once it is there
 * @throws PhtError `engine.unsafe` for what that program would never say
 */
export function readAnswer(bytesMax: number): (chunk: Uint8Array) => Collected | undefined {
  let held = Buffer.alloc(0);
  let size: number | undefined;
  return (chunk) => {
    held = Buffer.concat([held, chunk]);
    if (size === undefined) {
      const end = held.indexOf(0x0a);
      if (end === -1 && held.byteLength <= LINE_BYTES_MAX) return undefined;
      const line = held.subarray(0, Math.max(end, 0)).toString('latin1');
      if (line === 'none') return { kind: 'none' };
      const [, what, value] = /^(file|refused) (-?[0-9]{1,15})$/.exec(line) ?? [];
      if (what === 'refused') return { kind: 'refused', why: `${RESULT_NAME} is not a regular file` };
      size = Number(value);
      if (what !== 'file' || size < 0) {
        throw new PhtError('engine.unsafe', 'what keeps the volume does not answer as it should');
      }
      if (size > bytesMax) {
        return { kind: 'refused', why: `${RESULT_NAME} has ${size} bytes, at most ${bytesMax} are taken` };
      }
      held = held.subarray(end + 1);
    }
    return held.byteLength < size ? undefined : { kind: 'output', bytes: held.subarray(0, size) };
  };
}
