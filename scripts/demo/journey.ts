import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Checks } from './checks.ts';
import { ASKING, type Places, STATIONS } from './members.ts';
import { ask, PHT, ROOT, read, until } from './pht.ts';
import { doing, say, verbatim } from './screen.ts';

/** One train: packed, submitted, looked at by an admin, watched to its end. */

type Stop = { station: string; state: string; code: string };
type Journey = { trainId: string; state: string; stops: Stop[] };

const TRAIN = 'trains/treatment-effect';
const REASON = 'ethics vote 2026-17; the question fits the consent';

/** @returns the id of the packed train */
export async function packTreatmentEffect(places: Places): Promise<string> {
  const stops = STATIONS.flatMap((name) => ['--stop', name]);
  const { trainId } = await ask<{ trainId: string }>(places.researcher, ['train', 'pack', TRAIN, ...stops]);
  return trainId;
}

/** Submits and follows it; resolves when the journey has ended. */
export async function travel(places: Places, trainId: string, checks: Checks): Promise<void> {
  await ask(places.researcher, ['train', 'submit', trainId]);
  say(`$ pht --home researcher train submit ${trainId}`);
  const told = new Map<string, string>();
  const stop = new AbortController();
  let approval: Promise<void> | undefined;
  const last = await watch(places.researcher, trainId, stop.signal, (journey) => {
    for (const { station, state, code } of journey.stops) {
      if (told.get(station) === state) continue;
      told.set(station, state);
      say(`${station.padEnd(14)}${state}${code === '' || code === state ? '' : ` (${code})`}`);
      if (station !== ASKING || state !== 'awaiting-clearance') continue;
      approval ??= approve(places, trainId);
      // Nobody else would ever let this train go on.
      approval.catch((thrown: unknown) => stop.abort(thrown));
    }
    const open = journey.stops.filter(({ state }) => state !== 'released').map(({ station }) => station);
    doing(`under way: ${open.join(', ')}`);
  });
  await approval;
  checks.hold('the station that asks waited for its admin', approval !== undefined);
  checks.hold('the journey has arrived', last?.state === 'arrived', last?.state);
}

/** What a real admin sees before deciding, and the decision. */
async function approve(places: Places, trainId: string): Promise<void> {
  const home = places.admins[ASKING];
  const hopId = await until('the train to be in the inbox', async () => {
    const { hops } = await ask<{ hops: { hopId: string; trainId: string }[] }>(home, ['station', 'inbox']);
    return hops.find((hop) => hop.trainId === trainId)?.hopId;
  });
  const [inbox, shown] = await Promise.all([
    read(home, ['station', 'inbox']),
    read(home, ['station', 'show', hopId, '--no-difference']),
  ]);
  say(`$ pht --home admins/${ASKING} station inbox`);
  verbatim(inbox, 4);
  say(`$ pht --home admins/${ASKING} station show ${hopId} --no-difference`);
  verbatim(shown, 2);
  const approved = await read(home, ['station', 'approve', hopId, '--reason', REASON]);
  verbatim([`$ pht --home admins/${ASKING} station approve ${hopId} \\`, `    --reason '${REASON}'`], 2);
  for (const line of approved) say(line, 4);
}

/** @returns the journey as it was told last */
async function watch(
  home: string,
  trainId: string,
  signal: AbortSignal,
  tell: (journey: Journey) => void,
): Promise<Journey | undefined> {
  const child = spawn(PHT, ['--home', home, 'train', 'watch', trainId, '--json', '--timeout', '3m'], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, PHT_HOME: '' },
    signal,
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', () => reject(signal.reason)).once('close', resolve);
  });
  ended.catch(() => undefined); // awaited below
  let last: Journey | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    const told = JSON.parse(line) as Journey & { error?: { code: string; message: string } };
    if (told.error !== undefined)
      throw new Error(`pht train watch: ${told.error.message} [${told.error.code}]`);
    last = told;
    tell(last);
  }
  const status = await ended;
  if (status !== 0) throw new Error(`pht train watch ended with ${status}`);
  return last;
}
