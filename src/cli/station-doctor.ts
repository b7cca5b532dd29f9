import { createDockerExecutor } from '../adapters/executor/docker.ts';
import { readStationConfig, type StationConfig } from '../adapters/home/config.ts';
import type { Home } from '../adapters/home/member.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import type { Channel } from '../adapters/wire/client.ts';
import { LedgerService } from '../gen/pht/v1/ledger_pb.ts';
import { NetworkService } from '../gen/pht/v1/network_pb.ts';
import {
  type Finding,
  judgeEngine,
  judgeFreshness,
  judgeNetwork,
  ok,
  warn,
} from '../journey/station/doctor.ts';
import { PhtError } from '../model/error.ts';
import { digestOf } from '../model/id.ts';
import type { Network } from '../model/network.ts';
import { heldVersions } from '../model/network-news.ts';
import type { EngineReport } from '../ports/executor.ts';
import { dialDispatcher, serverMemberOf, tlsOf } from './dial.ts';
import { EXIT, exitStatusOf } from './exit.ts';
import type { Frame } from './frame.ts';
import type { Output, Style } from './output.ts';
import { traceDispatcher } from './station-doctor-dial.ts';
import {
  findingOf,
  lookAtAgent,
  lookAtCertificate,
  lookAtClock,
  lookAtDatasets,
  lookAtKeys,
} from './station-doctor-home.ts';
import { lookAtNotify } from './station-doctor-notify.ts';
import { lookAtPolicy } from './station-doctor-policy.ts';
import { wrap } from './text.ts';

const CALL_DEADLINE_MS = 10_000;

/** Everything that keeps trains from running here, each with its fix, before a train finds it. */
export async function doctor(frame: Frame, options: { engine: boolean }): Promise<void> {
  const findings = await examine(frame, options);
  const failed = findings.filter((finding) => finding.level === 'fail');
  const warned = findings.filter(({ level }) => level === 'warn').length;
  const summary =
    failed.length === 0
      ? `Nothing fails${warned === 0 ? '' : `; ${warned} to look at`}.`
      : `${failed.length} of ${findings.length} checks fail; trains do not run until they are fixed.`;
  frame.output.result({ ok: failed.length === 0, findings }, [
    ...findings.flatMap((finding) => linesOf(finding, frame.output)),
    '',
    frame.output.paint('bold', summary),
  ]);
  process.exitCode = failed[0] === undefined ? EXIT.done : exitStatusOf(failed[0].code);
}

/** What cannot be looked at without something that failed before is left out. */
async function examine(frame: Frame, { engine }: { engine: boolean }): Promise<Finding[]> {
  let home: Home;
  try {
    home = frame.openHome(['station']);
  } catch (thrown) {
    // Without a home there is nobody to examine.
    if (!(thrown instanceof PhtError) || thrown.code !== 'config.invalid') throw thrown;
    return [findingOf('home', thrown, 'make it private to the user that runs the station')];
  }
  const findings: Finding[] = [ok('home', `${home.dir} is ${home.member.id}'s, and private`)];
  const nowMs = frame.nowMs();
  const attempt = async <T>(check: string, work: () => T | Promise<T>, fix: string): Promise<T | null> => {
    try {
      return await work();
    } catch (thrown) {
      findings.push(findingOf(check, thrown, fix));
      return null;
    }
  };
  findings.push(lookAtClock(home, nowMs));
  const config = await attempt(
    'configuration',
    () => readStationConfig(home.dir),
    `correct ${home.dir}/config.yaml`,
  );
  const network = await attempt('network file', () => currentNetwork(home), 'pht network import FILE');
  if (network !== null) {
    findings.push(...judgeNetwork(network, home.member.id, nowMs), judgeFreshness(network, nowMs));
    findings.push(...(await lookAtKeys(home, network)), await lookAtCertificate(home, network, nowMs));
  }
  findings.push(...lookAtPolicy(home));
  if (config === null) return findings;
  findings.push(
    ...((await attempt('datasets', () => lookAtDatasets(home, config), 'see docs/station-admin.md')) ?? []),
  );
  findings.push(...lookAtNotify(config));
  findings.push(...(await lookAtAgent(home, config)));
  if (network === null) return findings;
  frame.output.progress('looking for the dispatcher');
  findings.push(
    ...((await attempt('connection', () => lookAtConnection(home, config, network), 'see config.yaml')) ??
      []),
  );
  if (!engine) return findings;
  frame.output.progress('trying the sandbox of the container engine');
  const report = await attempt('engine', () => probe(home, config, network), 'start the container engine');
  return [...findings, ...(report === null ? [] : judgeEngine(report, config.engine.acceptEngineRisks))];
}

/** Hop by hop first; then one call of the real client, since a server refuses a member only after its own handshake. */
async function lookAtConnection(home: Home, config: StationConfig, network: Network): Promise<Finding[]> {
  const { channel, dispatcher } = await dialDispatcher(home, config);
  try {
    const traced = await traceDispatcher({
      address: config.dispatcher.address,
      proxy: config.proxy,
      tls: await tlsOf(home, network),
      serverMember: serverMemberOf(network, dispatcher.id),
    });
    if (traced.some(({ level }) => level === 'fail')) return traced;
    try {
      await channel.client(LedgerService).logs({}, { deadlineMs: CALL_DEADLINE_MS });
      const known = ok('membership there', `${dispatcher.id} knows this station by its certificate`);
      return [...traced, known, await lookForNewer(home, channel, network)];
    } catch (thrown) {
      const fix = 'ask the operator whether the dispatcher has the current network file';
      return [...traced, findingOf('membership there', thrown, fix)];
    }
  } finally {
    channel.close();
  }
}

/** Whether the dispatcher says that it has a newer file; it is not taken over, as nothing here changes anything. */
async function lookForNewer(home: Home, channel: Channel, network: Network): Promise<Finding> {
  const held = heldVersions(network, home.member.id);
  const check = 'network file there';
  for await (const _ of channel.client(NetworkService).fetch(held, { deadlineMs: CALL_DEADLINE_MS })) {
    const fix =
      'a running station fetches it within seconds; otherwise ask for it, then: pht network import FILE';
    return warn(check, 'the dispatcher has a newer one', fix);
  }
  return ok(check, 'the dispatcher has none that is newer');
}

/**
 * The proof by effect, under an owner of the doctor's own: the agent sweeps what bears its own label, and the doctor
 * must not touch the agent's runs.
 */
async function probe(home: Home, config: StationConfig, network: Network): Promise<EngineReport> {
  const executor = createDockerExecutor({
    owner: `doctor-${digestOf(home.member.id).slice(0, 24)}`,
    networkId: network.id,
    ...(config.engine.socket === undefined ? {} : { socketPath: config.engine.socket }),
    runAs: config.runAs,
    log: () => undefined,
  });
  try {
    return await executor.probe();
  } finally {
    await executor.settle();
    await executor.sweep();
  }
}

const MARKS: Readonly<Record<Finding['level'], [Style, string]>> = {
  ok: ['green', 'ok  '],
  warn: ['yellow', 'look'],
  fail: ['red', 'FAIL'],
};

function linesOf(finding: Finding, output: Output): string[] {
  const [style, word] = MARKS[finding.level];
  const [first = '', ...rest] = wrap(`${finding.check}: ${finding.text}`, 6);
  return [
    `${output.paint(style, word)}  ${first.trimStart()}`,
    ...rest,
    // Not wrapped: it is to be copied.
    ...(finding.level === 'ok' ? [] : [`      fix: ${finding.fix}`]),
  ];
}
