import { createLogArchive } from '../src/adapters/ledger/archive.ts';
import { openLogFolder } from '../src/adapters/ledger/reader.ts';
import { type Anchor, verifyLog } from '../src/journey/auditor/verify-log.ts';
import { checkpointIn, LOG, MEMBER } from './ledger-log.ts';
import { memoryMb, statusOf } from './memory.ts';

/** A process of its own that verifies one log as an audit does, and says how long that took and what it needed. */

/** `kept` is the archive to keep the log in; `anchor` is what an earlier reading said. */
export type Asked = { folder: string; kept: string | null; anchor: Remembered | null };
export type Remembered = { size: number; root: string; peaks: string[]; newestMs: number | null };
export type Answer = { entries: number; ms: number; rssMb: number; remembered: Remembered };

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function anchorOf({ size, root, peaks, newestMs }: Remembered): Anchor {
  const range = { size, peaks: peaks.map((peak) => Buffer.from(peak, 'hex')) };
  return { size, root: Buffer.from(root, 'hex'), range, newestMs };
}

async function read({ folder, kept, anchor }: Asked): Promise<Answer> {
  const startedMs = performance.now();
  const source = await openLogFolder(folder);
  const copy = kept === null ? null : await createLogArchive(kept).begin(MEMBER);
  let entries = 0;
  const head = await verifyLog(source, checkpointIn(folder), {
    log: LOG,
    anchor: anchor === null ? null : anchorOf(anchor),
    from: anchor === null ? 'first' : 'anchor',
    nowMs: null,
    found: ({ text }) => {
      throw new Error(text);
    },
    onEntry: () => {
      entries++;
    },
    progress: () => undefined,
    copy,
  });
  if (head?.range == null || head.from !== (anchor?.size ?? 0))
    throw new Error('the log was not verified as asked');
  await copy?.commit(head.signed, head.from > 0 ? 'extend' : 'replace');
  const ms = performance.now() - startedMs;
  const { size, root } = head.checkpoint;
  const remembered = { size, root: hex(root), peaks: head.range.peaks.map(hex), newestMs: head.newestMs };
  return { entries, ms, rssMb: memoryMb(statusOf('self'), 'VmHWM'), remembered };
}

const [asked] = process.argv.slice(2);
if (asked !== undefined) process.stdout.write(JSON.stringify(await read(JSON.parse(asked) as Asked)));
