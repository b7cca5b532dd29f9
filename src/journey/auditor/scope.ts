import type { LedgerEntry } from '../../model/ledger/entry.ts';
import type { Member, Network } from '../../model/network.ts';
import type { LogArchive, LogSource } from '../../ports/log-source.ts';
import type { ReplayDecision } from '../../ports/replay.ts';
import type { VerifiedDisclosure } from './disclosed.ts';
import type { Finding } from './findings.ts';
import type { LeftOpen } from './left-open.ts';
import type { DatedHeads } from './on-record.ts';
import type { Anchor } from './verify-log.ts';

export type AuditPorts = {
  source: LogSource;
  /** Where verified logs are kept; null to keep nothing. */
  archive: LogArchive | null;
  progress: (member: string, done: number, size: number) => void;
};

export type AuditScope = {
  network: Network;
  /** What this auditor saw of each log before. */
  anchors: ReadonlyMap<string, Anchor>;
  /** Heads that this auditor saw earlier, of which it is known what they cover: for what members signed who left since. */
  seen?: DatedHeads;
  /** What the last audit left open: then only what is new is read. Null or left out to read everything. */
  open?: ReadonlyMap<string, LeftOpen> | null;
  /** Null for a copy: it has no present. */
  nowMs: number | null;
  /** Given every entry as it is read, before its log is known to be sound. */
  onEntry?: (member: Member, index: number, entry: LedgerEntry) => void;
  /** Found before the logs were read, such as a damaged memory of earlier audits. */
  before?: readonly Finding[];
  /** What stations have disclosed to this auditor, and what makes their decisions again. */
  disclosed?: { disclosures: readonly VerifiedDisclosure[]; replay: ReplayDecision };
};
