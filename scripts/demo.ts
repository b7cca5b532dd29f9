import { join } from 'node:path';
import { connectEngine } from '../src/adapters/executor/connect.ts';
import { identify } from '../src/adapters/executor/identity.ts';
import { checkResult, type Result } from './demo/answer.ts';
import { audit } from './demo/audit.ts';
import { type Checks, createChecks } from './demo/checks.ts';
import { markHome, occupied, tearDown, tellKept, tellNext } from './demo/ending.ts';
import { engineVersion, exportCgd } from './demo/engine.ts';
import { askBefore, revoke, stand } from './demo/gate.ts';
import { packTreatmentEffect, travel } from './demo/journey.ts';
import { ASKING, furnish, makeMembers, type Places, placesIn, STATIONS } from './demo/members.ts';
import { type DemoOptions, parseOptions, USAGE } from './demo/options.ts';
import { ask, ROOT, read, stopCommands, until } from './demo/pht.ts';
import { ready, startNoMore, startServer } from './demo/processes.ts';
import { prepareSuspects, refuse } from './demo/refusals.ts';
import { doing, elapsedS, quiet, say, stage, verbatim } from './demo/screen.ts';
import { prepareEngine } from './prepare-engine.ts';

/** `npm run demo`: the whole journey with real processes, every claim looked at. */

const INTERRUPTED = 130;
const FAILED_LOGS = join(ROOT, '.state/failed-logs');

async function main(): Promise<number> {
  const options = readOptions();
  if (typeof options === 'number') return options;
  if (options.stop) return stop(options);
  const taken = occupied(options.home);
  if (taken !== null) {
    process.stderr.write(`demo: ${options.home} ${taken}.\n`);
    process.stderr.write(
      `Next: npm run demo -- --stop --home '${options.home}', or choose another --home DIR\n`,
    );
    return 1;
  }
  const checks = createChecks();
  let interrupted = false;
  const onSignal = (): void => {
    if (interrupted) process.exit(INTERRUPTED);
    interrupted = true;
    startNoMore();
    stopCommands();
    quiet();
    process.stderr.write('\ndemo: stopping everything (once more to give up on that)\n');
    void tearDown(options.home).finally(() => process.exit(INTERRUPTED));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  try {
    const trainId = await play(placesIn(options.home), checks);
    return await end(options, trainId, checks);
  } catch (thrown) {
    if (interrupted) return new Promise<never>(() => undefined); // the signal's own ending goes on
    quiet();
    process.stderr.write(`demo: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
    await giveUp(options);
    return 1;
  }
}

/** Nobody can look into what was taken away: `--keep` keeps a failure too, and logs stay in either case. */
async function giveUp({ home, keep }: DemoOptions): Promise<void> {
  if (keep) {
    markHome(home, true);
    process.stderr.write(`All of it is kept as it stands. Next: look into ${home}/logs, and then:\n`);
    process.stderr.write(`npm run demo -- --stop --home '${home}'\n`);
    return;
  }
  await tearDown(home, undefined, FAILED_LOGS);
  process.stderr.write(`The logs of the dispatcher and the stations are in ${FAILED_LOGS}\n`);
}

function readOptions(): DemoOptions | number {
  try {
    // npm runs scripts in the checkout and tells where its user stood.
    const parsed = parseOptions(process.argv.slice(2), process.env['INIT_CWD'] ?? ROOT, ROOT);
    if (parsed !== null) return parsed;
    process.stdout.write(`${USAGE}\n`);
    return 0;
  } catch (thrown) {
    process.stderr.write(`demo: ${thrown instanceof Error ? thrown.message : String(thrown)}\n${USAGE}\n`);
    return 2;
  }
}

async function stop({ home }: DemoOptions): Promise<number> {
  const checks = createChecks();
  await tearDown(home, checks);
  checks.summary();
  return checks.failed() === 0 ? 0 : 1;
}

async function play(places: Places, checks: Checks): Promise<string> {
  verbatim(['Signalbox: one question to four hospitals; the patients stay where they are.']);
  stage('Container engine and base images');
  await prepareEngine();
  say(await engineVersion());
  await tearDown(places.home); // what a demo that was killed left
  markHome(places.home, false);

  stage('Four groups of hospitals of the cgd trial (1991), and their network');
  const [csv] = await Promise.all([exportCgd(), makeMembers(places)]);
  const patients = STATIONS.map((name) => `${name} ${(csv[name] ?? '').trim().split('\n').length - 1}`);
  say(`Patients: ${patients.join(', ')}. Each member has a directory, keys and configuration of its own.`);
  say(
    '--no-passphrase: here the private keys lie in clear, so that nobody must type; elsewhere a passphrase guards them.',
  );
  const { risks } = await identify(connectEngine());
  for (const { id, text } of risks)
    say(`acceptEngineRisks: [${id}]: ${text}. A fresh station would not run here.`);
  await furnish(
    places,
    csv,
    risks.map(({ id }) => id),
  );

  stage('Dispatcher and stations, each a process; stations only dial out');
  await serveAll(places);
  verbatim(await read(places.researcher, ['network', 'datasets']), 2);

  stage('Dr Lee packs, signs and submits trains/treatment-effect');
  const trainId = await packTreatmentEffect(places);
  await askBefore(places, trainId, checks);
  const suspects = prepareSuspects(places);
  suspects.catch(() => undefined); // awaited below
  await travel(places, trainId, checks);

  stage('The answer, pooled by Dr Lee from what each station released');
  say(`$ pht --home researcher train result ${trainId}`);
  verbatim(await read(places.researcher, ['train', 'result', trainId]), 2);
  checkResult(await ask<Result>(places.researcher, ['train', 'result', trainId]), checks);

  stage('Five trains that are refused');
  await refuse(places, await suspects, trainId, checks);

  stage('Two trains for one look, and a member that is revoked');
  const waiting = await stand(places, checks);
  await revoke(places, waiting, checks);

  stage('The audit');
  await audit(places, trainId, checks);
  return trainId;
}

async function serveAll(places: Places): Promise<void> {
  const servers = [
    startServer(places.home, 'dispatcher', ['--home', places.dispatcher, 'dispatcher', 'serve']),
    ...STATIONS.map((name) =>
      startServer(places.home, name, ['--home', places.stations[name], 'station', 'serve']),
    ),
  ];
  await Promise.all(servers.map(ready));
  doing('waiting for four stations to be online');
  await until('four stations online', async () => {
    type Offers = { stations: { online: boolean; datasets: unknown[] }[] };
    const { stations } = await ask<Offers>(places.researcher, ['network', 'datasets']);
    return stations.filter(({ online, datasets }) => online && datasets.length === 1).length === 4
      ? true
      : undefined;
  });
}

async function end({ home, keep }: DemoOptions, trainId: string, checks: Checks): Promise<number> {
  stage(keep ? `Kept (${ASKING} asks, the others permit)` : 'Cleaning up');
  if (keep && checks.failed() === 0) {
    markHome(home, true);
    tellKept(placesIn(home), trainId);
  } else await tearDown(home, checks);
  quiet();
  process.stdout.write('\n');
  checks.summary();
  if (!keep) tellNext();
  process.stdout.write(`After ${elapsedS().toFixed(1)} s.\n`);
  return checks.failed() === 0 ? 0 : 1;
}

// Some sockets of the engine's client may linger.
process.exit(await main());
