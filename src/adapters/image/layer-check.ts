import { inPieces } from './layer-pieces.ts';
import { tarReader } from './layer-tar.ts';
import { layerTree } from './layer-tree.ts';

/**
 * What a layer's archive may hold, judged entry by entry while it streams by: at the researcher when packing and at the
 * station before an engine sees it. Setuid bits pass, since no-new-privileges makes them void and every Debian image
 * has some; file capabilities do not, since hardly any has.
 */

export type LayerSummary = { entries: number; unpackedBytes: number };

export type LayerCheck = {
  /** @throws PhtError `image.unsafe` naming the entry */
  push(chunk: Uint8Array): void;
  /** @throws PhtError `image.unsafe` for an archive that is cut off */
  finish(): LayerSummary;
};

const FILE = { type: 'file' } as const;

export function layerCheck(): LayerCheck {
  const tree = layerTree<typeof FILE>();
  const reader = tarReader({
    entry: (entry) => {
      const path = tree.admit(entry);
      if (path !== null && entry.type === 'file') tree.put(path, FILE);
    },
    content: () => undefined,
    close: () => undefined,
  });
  return {
    push: reader.push,
    finish: () => {
      reader.finish();
      const { entries, unpackedBytes } = tree.finish();
      return { entries, unpackedBytes };
    },
  };
}

/** @throws PhtError `image.unsafe` */
export async function checkLayer(chunks: AsyncIterable<Uint8Array>): Promise<LayerSummary> {
  const check = layerCheck();
  for await (const chunk of chunks) await inPieces(chunk, check.push);
  return check.finish();
}
