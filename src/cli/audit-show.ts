import { replayDecision } from '../adapters/policy/replay.ts';
import { watchTrain } from '../journey/auditor/audit.ts';
import { PhtError } from '../model/error.ts';
import { TrainIdText } from '../model/id.ts';
import { check } from '../model/schema.ts';
import { readDisclosures } from './audit-disclosure.ts';
import { lifeLines, lifeView } from './audit-life.ts';
import { runAudit } from './audit-run.ts';
import { withLogs } from './audit-source.ts';
import { findingLines } from './audit-view.ts';
import { EXIT } from './exit.ts';
import type { Frame } from './frame.ts';
import { wrap } from './text.ts';

/** `pht audit show TRAIN`: the logs are verified on the way, since what does not verify says nothing. */
export async function showTrain(
  frame: Frame,
  train: string,
  options: { logs?: string; disclosure?: string[] },
): Promise<void> {
  const trainId = check(TrainIdText, train, 'the train', 'usage.invalid');
  await withLogs(frame, options, async (audited) => {
    const { home, network } = audited;
    const watched = watchTrain(trainId);
    const disclosures = await readDisclosures(options.disclosure ?? [], home, network);
    const disclosed = { disclosures, replay: replayDecision };
    const { report } = await runAudit(frame, audited, { onEntry: watched.onEntry, disclosed, keep: false });
    if (watched.entries.length === 0) {
      throw new PhtError('not-found', `no log speaks of ${trainId}`, {
        hint: 'pht audit verify says which logs there are, and whether any is missing',
      });
    }
    const places = new Set(watched.entries.map(({ member, index }) => `${member.id} ${index}`));
    const about = report.findings.filter(({ log, index }) => places.has(`${log} ${index}`));
    const view = lifeView(trainId, watched.entries, report);
    const { paint } = frame.output;
    frame.output.result({ ...view, findings: report.findings }, [
      ...lifeLines(trainId, watched.entries, report),
      '',
      ...about.flatMap((found) => findingLines(found, paint)),
      ...wrap(
        verdict(
          view.unverifiedEvents,
          report.findings.filter(({ severity }) => severity !== 'warning'),
        ),
      ),
    ]);
    if (report.failed) process.exitCode = EXIT.unverified;
  });
}

function verdict(dropped: number, serious: readonly object[]): string {
  if (dropped > 0) return `${dropped} entries are left out: their log does not verify. See: pht audit verify`;
  if (serious.length > 0) return `The logs have ${serious.length} findings. See: pht audit verify`;
  return 'Every log that speaks here verifies, and they agree with one another.';
}
