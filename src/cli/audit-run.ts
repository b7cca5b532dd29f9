import { mkdirSync } from 'node:fs';
import { lockHome } from '../adapters/home/lock.ts';
import { createLogArchive } from '../adapters/ledger/archive.ts';
import { openLogFolder } from '../adapters/ledger/reader.ts';
import { type AuditReport, audit } from '../journey/auditor/audit.ts';
import type { AuditScope } from '../journey/auditor/scope.ts';
import type { LogSource } from '../ports/log-source.ts';
import { stateKeyOf } from './audit-resume.ts';
import { type Audited, progressOf } from './audit-source.ts';
import { archiveDir, auditDir, type Memory, readMemory, writeMemory } from './audit-state.ts';
import type { Frame } from './frame.ts';

/** What one audit of these logs found, and where they lie now with all their tiles. */
export type Ran = { report: AuditReport; memory: Memory; kept: LogSource };

export type Extra = Pick<AuditScope, 'onEntry' | 'disclosed'> & {
  /** Only what came after the last audit. */
  onlyNew?: boolean;
  /** False to look only: neither logs nor what was seen are kept. */
  keep?: boolean;
};

type Kept = Omit<Extra, 'keep'>;

/** A live audit keeps what verified; one of a copy leaves nothing behind. */
export async function runAudit(frame: Frame, audited: Audited, extra: Extra = {}): Promise<Ran> {
  const { keep = true, ...rest } = extra;
  return audited.live && keep ? live(frame, audited, rest) : looked(frame, audited, rest);
}

/** Two audits of one home at a time would overwrite each other's copies. */
async function live(frame: Frame, audited: Audited, { onlyNew, ...more }: Kept): Promise<Ran> {
  const { home, network, source } = audited;
  mkdirSync(auditDir(home.dir), { recursive: true, mode: 0o700 });
  const unlock = lockHome(auditDir(home.dir));
  try {
    const key = await stateKeyOf(home);
    const memory = readMemory(home.dir, network, key);
    const archive = createLogArchive(archiveDir(home.dir));
    const report = await audit(
      { source, archive, progress: progressOf(frame) },
      {
        ...{ network, anchors: memory.anchors, seen: memory.seen },
        ...{ nowMs: frame.nowMs(), before: memory.findings },
        ...more,
        ...(onlyNew === true ? { open: memory.open } : {}),
      },
    );
    if (memory.checkpoints !== null && key !== null) writeMemory(home.dir, network, { memory, report, key });
    return { report, memory, kept: await openLogFolder(archiveDir(home.dir)) };
  } finally {
    unlock();
  }
}

async function looked(
  frame: Frame,
  { home, network, source, live: present }: Audited,
  { onlyNew: _, ...more }: Kept,
): Promise<Ran> {
  const memory = readMemory(home.dir, network, await stateKeyOf(home));
  const report = await audit(
    { source, archive: null, progress: progressOf(frame) },
    {
      network,
      anchors: memory.anchors,
      seen: memory.seen,
      nowMs: present ? frame.nowMs() : null,
      before: memory.findings,
      ...more,
    },
  );
  return { report, memory, kept: source };
}
