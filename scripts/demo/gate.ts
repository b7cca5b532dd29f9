import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Checks } from './checks.ts';
import { ASKING, type Places } from './members.ts';
import { ask, read, refusal, until } from './pht.ts';
import { dispatcherOf } from './refusals.ts';
import { doing, say, verbatim } from './screen.ts';

/** The gate in, from all sides: asked beforehand, cleared for trains to come, and closed to a member that is gone. */

const HELLO = ['trains/hello', '--stop', ASKING];
const REASON = 'counts by sex, agreed with the registry';
const DAY_MS = 86_400_000;
/** Of a source line, beside its indent. */
const COLUMNS = 76;

type Stop = { station: string; state: string; code: string; waitsFor: string };
type Journeys = { trains: { trainId: string; stops: Stop[] }[] };
type Planned = { stops: { station: string; outlook: { verdict: string } | null }[] };

/** What each station would say, before anything is submitted. */
export async function askBefore(places: Places, trainId: string, checks: Checks): Promise<void> {
  say(`$ pht --home researcher train plan ${trainId}`);
  verbatim(await read(places.researcher, ['train', 'plan', trainId]), 2);
  const { stops } = await ask<Planned>(places.researcher, ['train', 'plan', trainId]);
  const said = stops.map(({ station, outlook }) => `${station} ${outlook?.verdict ?? 'nothing'}`);
  const wanted = stops.every(
    ({ station, outlook }) => outlook?.verdict === (station === ASKING ? 'ask' : 'permit'),
  );
  checks.hold('the plan foretold what each station would do', wanted && stops.length === 4, said.join(', '));
}

/** One look for two trains: the second runs unasked, the third waits again. */
export async function stand(places: Places, checks: Checks): Promise<string> {
  const [admin, researcher] = [places.admins[ASKING], places.secondResearcher];
  const pack = (): Promise<{ trainId: string }> => ask(researcher, ['train', 'pack', ...HELLO]);
  const first = await send(researcher, (await pack()).trainId);
  const hopId = await inInbox(admin, first);
  const shown = await read(admin, ['station', 'show', hopId]);
  const differs = shown.slice(shown.findIndex((line) => line.startsWith('What differs')));
  verbatim([`$ pht --home admins/${ASKING} station show ${hopId}`, '  ...'], 2);
  verbatim(
    differs.map((line) => (line.length > COLUMNS ? `${line.slice(0, COLUMNS - 1)}…` : line)),
    4,
  );
  checks.hold(
    'the admin saw the source of the new train',
    differs.some((line) => line.includes('| #!')),
  );
  const until = new Date(Date.now() + 30 * DAY_MS).toISOString().slice(0, 10);
  const terms = ['--standing', '--runs', '2', '--until', until];
  verbatim([`$ pht --home admins/${ASKING} station approve ${hopId} \\`, `    ${terms.join(' ')}`], 2);
  const approved = await read(admin, ['station', 'approve', hopId, ...terms, '--reason', REASON]);
  for (const line of approved) say(line, 4);
  const second = (await pack()).trainId;
  await Promise.all([ended(researcher, first), send(researcher, second)]);
  const stop = await ended(researcher, second);
  checks.hold('a standing clearance let the second train run unasked', stop.state === 'released', stop.code);
  const third = await send(researcher, (await pack()).trainId);
  await inInbox(admin, third);
  verbatim(['$ pht --home admins/europe-other station standing'], 2);
  verbatim(await read(admin, ['station', 'standing']), 4);
  verbatim(['$ pht --home second-researcher train list'], 2);
  verbatim(await read(researcher, ['train', 'list']), 4);
  const { waitsFor } = await stopOf(researcher, third);
  checks.hold('the third train waits for the admin again, and says so', waitsFor === 'admin', waitsFor);
  return third;
}

/** The authority takes a member out; what waits of hers ends, and she gets no further word in. */
export async function revoke(places: Places, waiting: string, checks: Checks): Promise<void> {
  const address = dispatcherOf(places);
  writeFileSync(
    join(places.network, 'config.yaml'),
    `dispatchers: [{ id: dispatcher, address: '${address}' }]\n`,
  );
  say('$ pht --home network network revoke dr-kim --reason ... --give-out');
  const reason = ['--reason', 'has left the university'];
  const lines = await read(places.network, ['network', 'revoke', 'dr-kim', ...reason, '--give-out']);
  for (const line of lines) say(line, 4);
  const admin = places.admins[ASKING];
  doing('waiting for the train of the revoked researcher to end');
  const code = await until('the waiting train to end', async () => {
    const { hops } = await ask<{ hops: { trainId: string; code: string }[] }>(admin, [
      'station',
      'inbox',
      '--all',
    ]);
    return hops.find(({ trainId, code }) => trainId === waiting && code !== '')?.code;
  });
  say(`${ASKING}: her train that waited is refused [${code}]`);
  checks.hold('the waiting train of a revoked researcher was refused', code === 'signer.revoked', code);
  const answer = await refusal(places.secondResearcher, ['train', 'list']);
  checks.hold('a revoked researcher gets no further answer', answer.code === 'forbidden', answer.code);
}

async function send(home: string, trainId: string): Promise<string> {
  await ask(home, ['train', 'submit', trainId]);
  return trainId;
}

function inInbox(admin: string, train: string): Promise<string> {
  return until('the train to be in the inbox', async () => {
    const { hops } = await ask<{ hops: { hopId: string; trainId: string }[] }>(admin, ['station', 'inbox']);
    return hops.find(({ trainId }) => trainId === train)?.hopId;
  });
}

async function ended(home: string, trainId: string): Promise<Stop> {
  await ask(home, ['train', 'result', trainId, '--wait']);
  return stopOf(home, trainId);
}

async function stopOf(home: string, train: string): Promise<Stop> {
  const { trains } = await ask<Journeys>(home, ['train', 'list']);
  const stop = trains.find(({ trainId }) => trainId === train)?.stops[0];
  if (stop === undefined) throw new Error(`the list lacks the train ${train}`);
  return stop;
}
