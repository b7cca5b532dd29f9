import type Docker from 'dockerode';
import { extract } from 'tar-stream';
import { bounded, isAbsent } from './connect.ts';
import { OUT_PATH } from './settings.ts';

export const RESULT_NAME = 'result.json';

export type Collected =
  | { kind: 'output'; bytes: Uint8Array }
  | { kind: 'none' }
  | { kind: 'refused'; why: string };

/**
 * Takes `/out/result.json` out of a container that has the volume. Only after the train has ended: while it runs it
 * could swap the path under the engine (CVE-2018-15664).
 */
export async function collectResult(container: Docker.Container, bytesMax: number): Promise<Collected> {
  return bounded('hand out the result', async (abortSignal) => {
    let archive: NodeJS.ReadableStream;
    try {
      archive = await container.getArchive({ path: `${OUT_PATH}/${RESULT_NAME}`, abortSignal });
    } catch (thrown) {
      if (isAbsent(thrown)) return { kind: 'none' };
      throw thrown;
    }
    return readOnlyFile(archive, bytesMax);
  });
}

/**
 * Reads an archive that must hold exactly one regular file of the exact name, in memory and without following anything:
 * a link arrives as a link, a FIFO as a FIFO, and both are refused by their type.
 */
export async function readOnlyFile(archive: NodeJS.ReadableStream, bytesMax: number): Promise<Collected> {
  const entries = extract();
  archive.on('error', (error: Error) => entries.destroy(error));
  archive.pipe(entries);
  const refused = (why: string): Collected => ({ kind: 'refused', why });
  let found: Collected = { kind: 'none' };
  try {
    for await (const entry of entries) {
      const { name, type, size = 0 } = entry.header;
      if (found.kind === 'output') return refused('the archive holds more than one entry');
      if (type !== 'file')
        return refused(`${RESULT_NAME} is a ${type ?? 'nameless thing'}, not a regular file`);
      if (name !== RESULT_NAME) return refused('the archive holds another file than was asked for');
      if (size > bytesMax) return refused(`${RESULT_NAME} has ${size} bytes, at most ${bytesMax} are taken`);
      const chunks: Uint8Array[] = [];
      for await (const chunk of entry) chunks.push(chunk as Uint8Array);
      found = { kind: 'output', bytes: Buffer.concat(chunks) };
    }
    return found;
  } finally {
    entries.destroy();
    if ('destroy' in archive && typeof archive.destroy === 'function') archive.destroy();
  }
}
