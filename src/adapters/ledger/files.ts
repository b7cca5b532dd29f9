import { PhtError } from '../../model/error.ts';
import { appendEntries, EMPTY_EDGE, readEdge, type TreeEdge } from '../../model/ledger/append.ts';
import { openCheckpoint, signCheckpoint } from '../../model/ledger/checkpoint.ts';
import { rangeRoot } from '../../model/ledger/merkle.ts';
import { addSignatures, formatNote, parseNote } from '../../model/ledger/note.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import { TILE_WIDTH, type TileFile } from '../../model/ledger/tile.ts';
import type { Ledger, LedgerRows, LedgerTree } from '../../ports/ledger.ts';
import type { Signer } from '../../ports/signer.ts';
import { DISK, type Disk } from './disk.ts';
import { createRotating, type LogKeys, type RotatedSigner } from './rotate.ts';
import { createTree } from './tree.ts';
import { createTreeFiles } from './tree-files.ts';

/** Entries read from the store at once; a multiple of the tile width, so that no extra partial tiles arise. */
const CHUNK_ENTRIES = 16 * TILE_WIDTH;

export type LedgerOptions = {
  rows: LedgerRows;
  /** Where the tiles and the checkpoint stand, for any reader of C2SP tlog-tiles. */
  dir: string;
  origin: string;
  /**
   * Over the member's log key. Where that may be replaced, at a start or at any time after, the ledger goes on with the
   * next one once the entry stands in its store that both have signed.
   */
  signer: Signer | RotatedSigner;
  /** Whether a checkpoint is shown as soon as it is signed: false where witnesses have to cosign it first. */
  publishAtOnce?: () => boolean;
  /**
   * Called before the first signature of this process and until it returns: what others have seen of this ledger must
   * not be ahead of it, or an old copy was restored or cloned (protocol, section 7).
   *
   * @throws PhtError whatever keeps the ledger from signing
   */
  beforeSigning?: (tree: LedgerTree & { size: number }) => Promise<void>;
  /** False once others contradict what was found then: it is called anew before the next signature. */
  isVouchedFor?: () => boolean;
  /** Told in one line when something out of the ordinary was repaired. */
  warn?: (line: string) => void;
  disk?: Disk;
};

/** `saved` is the size of the last stored checkpoint, -1 before the first; from there on `keys` are right. */
type Head = { edge: TreeEdge; saved: number; keys: LogKeys };

/**
 * One member's ledger over its store and a folder of files.
 *
 * The order is what survives a crash: rows (durable before this is called) → tiles and bundles → checkpoint signed →
 * stored by compare-and-set → published. A checkpoint that was stored is never signed anew: its exact bytes are
 * published again, so no size ever has two roots. A failed round forgets what it knew, and the next one starts as
 * after a crash.
 */
export function createLedger(options: LedgerOptions): Ledger {
  const { rows, origin, warn = () => undefined } = options;
  const { publishAtOnce = () => true, beforeSigning = async () => undefined } = options;
  const { isVouchedFor = () => true } = options;
  const files = createTreeFiles(options.dir, options.disk ?? DISK);
  const tree = createTree(rows, files.reader);
  const rotating = createRotating(options);
  let head: Head | null = null;
  let round: Promise<void> | null = null;
  let checked = false;
  let showing: Promise<void> = Promise.resolve();

  /** Adds the store's entries up to `size` and makes their files durable. */
  const grow = async (from: TreeEdge, size: number): Promise<{ edge: TreeEdge; written: TileFile[] }> => {
    let edge = from;
    const written: TileFile[] = [];
    while (edge.range.size < size) {
      const first = edge.range.size;
      const end = Math.min(size, first - (first % CHUNK_ENTRIES) + CHUNK_ENTRIES);
      const entries = rows.read(first, end);
      if (entries.length !== end - first)
        throw inconsistent(`entries ${first} to ${end - 1} are not all in the store`);
      const appended = appendEntries(edge, entries);
      await files.write(appended.files);
      edge = appended.edge;
      written.push(...appended.files.map(({ tile }) => ({ tile, bytes: new Uint8Array() })));
    }
    return { edge, written };
  };

  /** The tree as the files have it; null when they are missing or damaged, since the store can give them all again. */
  const edgeFromFiles = async (size: number, root: Uint8Array): Promise<TreeEdge | null> => {
    try {
      const edge = readEdge(size, await files.edge(size));
      return sameBytes(rangeRoot(edge.range), root) ? edge : null;
    } catch (thrown) {
      if (thrown instanceof PhtError && thrown.code === 'ledger.invalid') return null;
      throw thrown;
    }
  };

  /** Where the ledger stands after whatever happened before: nothing is signed here. */
  const recover = async (keys: LogKeys): Promise<Head> => {
    const opened = (text: Uint8Array): { size: number; root: Uint8Array } =>
      openCheckpoint(text, { origin, logKeys: keys.all, witnessKeys: [] }).checkpoint;
    const saved = rows.checkpoint();
    const inFile = await publishedHead(await files.checkpoint(), opened);
    if (saved === null) {
      if (inFile !== null)
        throw inconsistent('the published checkpoint is ahead of the store: an old copy was restored');
      return { edge: EMPTY_EDGE, saved: -1, keys };
    }
    const { size, root } = opened(saved.text);
    if (size !== saved.size || size > rows.size())
      throw inconsistent('the store lacks entries that were signed');
    if (inFile !== null && inFile.size > size) {
      throw inconsistent('the published checkpoint is ahead of the store: an old copy was restored');
    }
    if (inFile?.size === size && !sameBytes(inFile.root, root))
      throw inconsistent('two roots were signed for one size');
    // Without a checkpoint file nothing says that the other files survived either.
    let edge = inFile === null ? null : await edgeFromFiles(size, root);
    if (edge === null) {
      if (size > 0)
        warn(`the files of the ledger ${origin} are missing or damaged; writing them again from the store`);
      edge = (await grow(EMPTY_EDGE, size)).edge;
      if (!sameBytes(rangeRoot(edge.range), root))
        throw inconsistent('the entries are not those that were signed');
    }
    if (publishAtOnce()) rows.savePublished(saved);
    await shown();
    rotating.append(keys, saved);
    return { edge, saved: size, keys };
  };

  /** The file follows the store, which has it durably. */
  const show = async (): Promise<void> => {
    const head = rows.published();
    if (head !== null) await files.publish(head.text);
  };

  /** One writer at a time, or an older file could take the place of a newer one. */
  const shown = (): Promise<void> => {
    showing = showing.then(show, show);
    return showing;
  };

  const check = async (size: number): Promise<void> => {
    if (checked && isVouchedFor()) return;
    await beforeSigning({ ...tree, size });
    checked = true;
  };

  const advance = async (): Promise<void> => {
    const keys = await rotating.keys();
    const from = head ?? (await recover(keys));
    head = null;
    const saved = from.keys === keys ? null : rows.checkpoint();
    if (saved !== null) rotating.append(keys, saved);
    const size = rows.size();
    if (size === from.saved) {
      head = { ...from, keys };
      return;
    }
    await check(Math.max(0, from.saved));
    const { edge, written } = await grow(from.edge, size);
    const root = rangeRoot(edge.range);
    const text = Buffer.from(signCheckpoint({ origin, size, root, extensions: [] }, keys.now));
    rows.saveCheckpoint(from.saved, { size, text }, publishAtOnce());
    await shown();
    await files.prune(written);
    head = { edge, saved: size, keys };
  };

  const covered = async (size: number): Promise<void> => {
    if (size > rows.size())
      throw new PhtError('internal', `the ledger has only ${rows.size()} entries, not ${size}`);
    while (head === null || head.saved < size) {
      round ??= advance().finally(() => {
        round = null;
      });
      await round;
    }
  };

  const publish: Ledger['publish'] = async (size, cosignatures) => {
    const signed = rows.signedAt(size);
    if (signed === null) throw new PhtError('internal', `no checkpoint of ${size} entries was signed`);
    // The same size again brings younger cosignatures.
    if ((rows.published()?.size ?? -1) > size) return;
    const text = Buffer.from(formatNote(addSignatures(parseNote(signed.text), cosignatures)));
    rows.savePublished({ size, text });
    await shown();
  };

  const open = async (): Promise<void> => {
    if (head === null && round === null) head = await recover(await rotating.keys());
  };

  return { origin, open, covered, checkpoint: rows.checkpoint, published: rows.published, publish, tree };
}

/** What the folder shows the world; a file that nobody could verify shows nothing and is replaced. */
async function publishedHead(
  text: Uint8Array | null,
  opened: (text: Uint8Array) => { size: number; root: Uint8Array },
): Promise<{ size: number; root: Uint8Array } | null> {
  if (text === null) return null;
  try {
    return opened(text);
  } catch (thrown) {
    if (thrown instanceof PhtError) return null;
    throw thrown;
  }
}

function inconsistent(message: string): PhtError {
  return new PhtError('ledger.inconsistent', `${message}; nothing was signed`, {
    hint: 'restore the newest copy of this home, database and ledger files together',
  });
}
