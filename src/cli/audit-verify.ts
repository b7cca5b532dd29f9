import { openLogFolder } from '../adapters/ledger/reader.ts';
import { replayDecision } from '../adapters/policy/replay.ts';
import { alsoFound } from '../journey/auditor/audit.ts';
import { compareReaders } from '../journey/auditor/compare.ts';
import { PhtError } from '../model/error.ts';
import { readDisclosures } from './audit-disclosure.ts';
import { evidenceIn } from './audit-misconduct.ts';
import { runAudit } from './audit-run.ts';
import { type VerifyOptions, withLogs } from './audit-source.ts';
import { reportLines, reportView } from './audit-view.ts';
import { EXIT } from './exit.ts';
import type { Frame } from './frame.ts';

/** `pht audit verify` */
export async function verifyLogs(frame: Frame, options: VerifyOptions): Promise<void> {
  if (options.bundle !== undefined)
    return (await import('./audit-verify-bundle.ts')).verifyBundleFile(frame, options.bundle, options);
  if (options.networkId !== undefined)
    throw new PhtError('usage.invalid', '--network-id goes with --bundle; a home has its network pinned');
  if (options.network !== undefined)
    throw new PhtError('usage.invalid', '--network goes with --bundle; a home imports its network file');
  const files = options.disclosure ?? [];
  if (options.new === true && (options.logs !== undefined || files.length > 0)) {
    throw new PhtError(
      'usage.invalid',
      '--new reads what a dispatcher serves since the last audit, and no more',
      {
        hint: 'leave --new out to verify everything, which --logs and --disclosure need',
      },
    );
  }
  await withLogs(frame, options, async (audited) => {
    const { home, network, live, name } = audited;
    const disclosures = await readDisclosures(files, home, network);
    const extra = { onlyNew: options.new === true, disclosed: { disclosures, replay: replayDecision } };
    const evidence = evidenceIn(options.evidence ?? [], network);
    const theirs = options.against === undefined ? null : await openLogFolder(options.against);
    const ran = await runAudit(frame, audited, extra);
    const { memory, kept: ours } = ran;
    const compared = theirs === null ? [] : await compareReaders(ran.report.logs, { ours, theirs, network });
    const report = alsoFound(ran.report, [...evidence, ...compared]);
    const context = { network, live, name, compared: memory.anchors.size > 0 };
    frame.output.result(reportView(report, context), reportLines(report, context, frame.output.paint));
    if (report.failed) process.exitCode = EXIT.unverified;
  });
}
