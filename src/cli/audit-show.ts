import { audit, watchTrain } from '../journey/auditor/audit.ts';
import { type LifeEvent, lifeOf } from '../journey/auditor/show.ts';
import { timeText } from '../journey/auditor/words.ts';
import { PhtError } from '../model/error.ts';
import { TrainIdText } from '../model/id.ts';
import { check } from '../model/schema.ts';
import { progressOf, withLogs } from './audit-source.ts';
import { readMemory } from './audit-state.ts';
import { EXIT } from './exit.ts';
import type { Frame } from './frame.ts';
import { table, wrap } from './text.ts';

/** `pht audit show TRAIN`: the logs are verified on the way, since what does not verify says nothing. */
export async function showTrain(frame: Frame, train: string, options: { logs?: string }): Promise<void> {
  const trainId = check(TrainIdText, train, 'the train', 'usage.invalid');
  await withLogs(frame, options, async ({ home, network, source, live }) => {
    const watched = watchTrain(trainId);
    const memory = readMemory(home.dir, network);
    const report = await audit(
      { source, archive: null, progress: progressOf(frame) },
      {
        network,
        anchors: memory.anchors,
        nowMs: live ? frame.nowMs() : null,
        before: memory.findings,
        onEntry: watched.onEntry,
      },
    );
    const sound = new Set(report.logs.filter(({ head }) => head?.sound === true).map(({ member }) => member));
    const events = lifeOf(watched.entries);
    if (events.length === 0) {
      throw new PhtError('not-found', `no log speaks of ${trainId}`, {
        hint: 'pht audit verify says which logs there are, and whether any is missing',
      });
    }
    const believed = events.filter(({ member }) => sound.has(member));
    const dropped = events.length - believed.length;
    const serious = report.findings.filter(({ severity }) => severity !== 'warning');
    frame.output.result({ trainId, events: believed, unverifiedEvents: dropped, findings: report.findings }, [
      trainId,
      '',
      ...table(['TIME (UTC)', 'WHO', 'WHAT'], believed.map(row)),
      '',
      ...wrap(verdict(dropped, serious.length)),
    ]);
    if (report.failed) process.exitCode = EXIT.unverified;
  });
}

function row({ atMs, member, text }: LifeEvent): string[] {
  return [timeText(atMs), member, text];
}

function verdict(dropped: number, serious: number): string {
  if (dropped > 0) return `${dropped} entries are left out: their log does not verify. See: pht audit verify`;
  if (serious > 0) return `The logs have ${serious} findings. See: pht audit verify`;
  return 'Every log that speaks here verifies, and they agree with one another.';
}
