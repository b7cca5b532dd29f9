import { BUNDLE_BYTES_MAX, readBundle } from '../adapters/bundle/tar.ts';
import { readBounded } from '../adapters/home/files.ts';
import { currentNetwork, parseNetworkFile } from '../adapters/home/network-file.ts';
import { replayDecision } from '../adapters/policy/replay.ts';
import { alsoFound } from '../journey/auditor/audit.ts';
import { bundleIn } from '../journey/auditor/bundle.ts';
import { type Finding, finding } from '../journey/auditor/findings.ts';
import { verifyBundle } from '../journey/auditor/verify-bundle.ts';
import { PhtError } from '../model/error.ts';
import type { Network } from '../model/network.ts';
import { openNetwork } from '../model/open-network.ts';
import { check, Sha256Hex } from '../model/schema.ts';
import { lifeLines, lifeView } from './audit-life.ts';
import type { VerifyOptions } from './audit-source.ts';
import { reportLines, reportView } from './audit-view.ts';
import { EXIT } from './exit.ts';
import type { Frame } from './frame.ts';

/** `pht audit verify --bundle FILE`: no network, no home; the one thing to know beforehand is the network's id. */
export async function verifyBundleFile(
  frame: Frame,
  file: string,
  options: Omit<VerifyOptions, 'bundle'>,
): Promise<void> {
  const { logs, against, disclosure = [], evidence = [] } = options;
  const files = disclosure.length + evidence.length;
  if (logs !== undefined || against !== undefined || options.new === true || files > 0)
    throw new PhtError('usage.invalid', '--bundle stands alone: all that it needs is in it');
  const pinned = pinnedIn(frame, options.networkId);
  const bundle = bundleIn(await readBundle(readBounded(file, BUNDLE_BYTES_MAX, 'the bundle')));
  const network = openNetwork(parseNetworkFile(bundle.network, `${file}: network.json`), pinned.id);
  const verified = verifyBundle(bundle, network, replayDecision);
  const report = { ...verified, ...alsoFound(verified, olderThan(pinned.version, network)) };
  const context = { network, live: false, name: file, compared: true, proved: report.entries.length };
  const trainId = report.trainId ?? 'no train';
  const partial = 'A bundle shows what is in it; it cannot show that nothing was left out.';
  frame.output.result({ ...reportView(report, context), ...lifeView(trainId, report.entries, report) }, [
    ...lifeLines(trainId, report.entries, report),
    '',
    ...reportLines(report, context, frame.output.paint),
    partial,
  ]);
  if (report.failed) process.exitCode = EXIT.unverified;
}

type Pinned = { id: string /** Of the network file in the home, where there is one. */; version: number };

/** An id that came with the bundle would prove nothing. */
function pinnedIn(frame: Frame, given: string | undefined): Pinned {
  if (given !== undefined)
    return { id: check(Sha256Hex, given, '--network-id', 'usage.invalid'), version: 0 };
  try {
    const home = frame.openHome();
    return { id: home.member.networkId, version: currentNetwork(home).version };
  } catch (cause) {
    if (!(cause instanceof PhtError) || cause.code !== 'usage.invalid') throw cause;
    throw new PhtError('usage.invalid', 'whose network the bundle should be of was not said', {
      cause,
      hint: "name its id with --network-id; the network's authority reads it out to you",
    });
  }
}

/** An older network file is what its members were then, or what somebody would like them to be. */
function olderThan(version: number, network: Network): Finding[] {
  if (version <= network.version) return [];
  const text = `this home has version ${version} of the network file; version ${network.version} is in the bundle`;
  return [finding('warning', 'bundle.incomplete', { log: null }, text)];
}
