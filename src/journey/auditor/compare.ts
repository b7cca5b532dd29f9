import { PhtError } from '../../model/error.ts';
import { type OpenedCheckpoint, openCheckpoint } from '../../model/ledger/checkpoint.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import type { Network } from '../../model/network.ts';
import type { LogSource } from '../../ports/log-source.ts';
import { type Finding, finding } from './findings.ts';
import { rootWithin, trustOf, type View } from './prove.ts';
import type { AuditedLog } from './read-log.ts';
import { wrongKeyIn } from './rotations.ts';

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

function uncompared(member: string, why: string): Finding {
  return finding('warning', 'copy.unusable', { log: member }, `nothing was compared: ${why}`);
}

function withheld(member: string, { checkpoint }: Pick<OpenedCheckpoint, 'checkpoint'>): Finding {
  const text = `another reader was shown ${checkpoint.size} entries of it, and this auditor none`;
  return finding('error', 'log.withheld', { log: member }, text);
}
