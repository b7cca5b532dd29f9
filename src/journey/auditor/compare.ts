import { PhtError } from '../../model/error.ts';
import { type Checkpoint, type OpenedCheckpoint, openCheckpoint } from '../../model/ledger/checkpoint.ts';
import { EMPTY_ROOT } from '../../model/ledger/merkle.ts';
import { verifyConsistency } from '../../model/ledger/proof.ts';
import {
  proveConsistency,
  rootFromTiles,
  tilesForConsistency,
  tilesForRoot,
} from '../../model/ledger/prove.ts';
import { wrongKeyOf } from '../../model/ledger/rotation.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import type { Network } from '../../model/network.ts';
import type { LogSource } from '../../ports/log-source.ts';
import { type Finding, finding } from './findings.ts';
import { tilesOf, trustOf } from './prove.ts';
import type { AuditedLog } from './read-log.ts';
import type { KeyedHead } from './rotations.ts';
import type { LogHead } from './verify-log.ts';

/** One reader's copy of a log, with its tiles, and the head that he was shown. */
type View = { source: LogSource; member: string; head: Pick<Checkpoint, 'size' | 'root'> };

/**
 * Holds what this auditor was shown against what another reader was: of any two heads of one log the smaller is a
 * beginning of the larger, or its member has shown two histories.
 *
 * @param theirs the other reader's copies; what of them does not verify says nothing
 */
export async function compareReaders(
  logs: readonly AuditedLog[],
  { ours, theirs, network }: { ours: LogSource; theirs: LogSource; network: Network },
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { member, head, missing } of logs) {
    try {
      const signed = await theirs.checkpoint(member);
      if (signed === null) {
        if (!missing) findings.push(uncompared(member, 'the other reader has no copy of it'));
        continue;
      }
      if (missing)
        findings.push(
          withheld(member, openCheckpoint(signed, { ...trustOf(network, member), witnessKeys: [] })),
        );
      // What does not verify is a finding of its own.
      if (head?.sound !== true) continue;
      const opened = openCheckpoint(signed, { ...trustOf(network, member), witnessKeys: [] });
      const other = opened.checkpoint;
      const wrongKey = wrongKeyIn(head, { size: other.size, signedBy: opened.signedBy });
      if (wrongKey !== null) findings.push(finding('error', 'log.rotation', { log: member }, wrongKey));
      const mine: View = { source: ours, member, head: head.checkpoint };
      const his: View = { source: theirs, member, head: other };
      const [small, large] = other.size < head.checkpoint.size ? [his, mine] : [mine, his];
      if (sameBytes(await rootWithin(large, small.head.size), small.head.root)) continue;
      const text = `heads of ${small.head.size} and ${large.head.size} entries were signed that exclude each other`;
      findings.push(finding('misconduct', 'log.forked', { log: member }, text));
    } catch (thrown) {
      if (!(thrown instanceof PhtError)) throw thrown;
      const text = `the two copies cannot be compared: ${thrown.message}`;
      findings.push(finding('error', 'copy.unusable', { log: member }, text));
    }
  }
  return findings;
}

/** Of a log that was read only from somewhere on, nothing is known of the keys before. */
function wrongKeyIn({ rotations, from, signedBy }: LogHead, other: KeyedHead): string | null {
  if (other.size < from) return null;
  const key = wrongKeyOf(other.size, other.signedBy, rotations);
  if (key !== null || rotations.length > 0 || from > 0) return key;
  // Whoever goes on with another key says so in an entry.
  const same = other.signedBy[0]?.keyId === signedBy[0]?.keyId;
  return same ? null : 'two heads are signed with different keys, and no entry tells of the change';
}

function uncompared(member: string, why: string): Finding {
  return finding('warning', 'copy.unusable', { log: member }, `nothing was compared: ${why}`);
}

function withheld(member: string, { checkpoint }: Pick<OpenedCheckpoint, 'checkpoint'>): Finding {
  const text = `another reader was shown ${checkpoint.size} entries of it, and this auditor none`;
  return finding('error', 'log.withheld', { log: member }, text);
}

/**
 * The root that the signed tree had when it was smaller, proved from its tiles.
 *
 * @throws PhtError `ledger.invalid`, `ledger.inconsistent` where the tiles are not those of the signed tree
 */
async function rootWithin({ source, member, head }: View, size: number): Promise<Uint8Array> {
  if (size === head.size) return head.root;
  if (size === 0) return EMPTY_ROOT;
  const tiles = [...tilesForRoot(size), ...tilesForConsistency(size, head.size)];
  const read = await tilesOf(source, member, tiles, head.size);
  const rootBefore = rootFromTiles(size, read);
  const hashes = proveConsistency(size, head.size, read);
  verifyConsistency({ sizeBefore: size, rootBefore, size: head.size, root: head.root, hashes });
  return rootBefore;
}
