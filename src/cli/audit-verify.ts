import { mkdirSync } from 'node:fs';
import { lockHome } from '../adapters/home/lock.ts';
import { createLogArchive } from '../adapters/ledger/archive.ts';
import { type AuditReport, audit } from '../journey/auditor/audit.ts';
import { type Audited, progressOf, withLogs } from './audit-source.ts';
import { archiveDir, auditDir, type Memory, readMemory, writeMemory } from './audit-state.ts';
import { reportLines, reportView } from './audit-view.ts';
import { EXIT } from './exit.ts';
import type { Frame } from './frame.ts';

/** `pht audit verify` */
export async function verifyLogs(frame: Frame, options: { logs?: string }): Promise<void> {
  await withLogs(frame, options, async (audited) => {
    const { report, memory } = audited.live ? await live(frame, audited) : await offline(frame, audited);
    const context = { audited, compared: memory.anchors.size > 0 };
    frame.output.result(reportView(report, context), reportLines(report, context, frame.output.paint));
    if (report.failed) process.exitCode = EXIT.unverified;
  });
}

type Done = { report: AuditReport; memory: Memory };

/** Two audits of one home at a time would overwrite each other's copies. */
async function live(frame: Frame, audited: Audited): Promise<Done> {
  const { home, network, source } = audited;
  mkdirSync(auditDir(home.dir), { recursive: true, mode: 0o700 });
  const unlock = lockHome(auditDir(home.dir));
  try {
    const memory = readMemory(home.dir, network);
    const archive = createLogArchive(archiveDir(home.dir));
    const report = await audit(
      { source, archive, progress: progressOf(frame) },
      { network, anchors: memory.anchors, nowMs: frame.nowMs(), before: memory.findings },
    );
    if (memory.checkpoints !== null) {
      writeMemory(home.dir, network, updated(memory.checkpoints, report));
    }
    return { report, memory };
  } finally {
    unlock();
  }
}

async function offline(frame: Frame, { home, network, source }: Audited): Promise<Done> {
  const memory = readMemory(home.dir, network);
  const report = await audit(
    { source, archive: null, progress: progressOf(frame) },
    { network, anchors: memory.anchors, nowMs: null, before: memory.findings },
  );
  return { report, memory };
}

function updated(checkpoints: ReadonlyMap<string, string>, { logs }: AuditReport): Map<string, string> {
  const next = new Map(checkpoints);
  for (const { member, head } of logs) {
    if (head?.sound === true) next.set(member, Buffer.from(head.signed).toString('utf8'));
  }
  return next;
}
