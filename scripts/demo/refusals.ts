import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'yaml';
import type { Checks } from './checks.ts';
import { makeHome, type Places } from './members.ts';
import { ask, type Failure, refusal } from './pht.ts';
import { say } from './screen.ts';

/** Five trains that must not run, and the words with which each is refused. */

const HELLO = ['trains/hello', '--stop', 'nih'];
const TREATMENT_EFFECT = ['trains/treatment-effect', '--stop', 'nih', '--min-stations', '1'];
const SUBMIT = ['train', 'submit'];
/** Long enough to be packed, short enough to wait for. */
const SHORT_LIFE = '3s';

type Packed = { trainId: string; directory: string; expiresMs: number; image: { configDigest: string } };
type Refused = { what: string; wanted: string; try(): Promise<Failure> };

/** Prepares while another train is under way. */
export type Suspects = { changed: Packed; altered: Packed; expired: Packed; stranger: string };

export async function prepareSuspects(places: Places): Promise<Suspects> {
  const pack = (...train: string[]): Promise<Packed> => ask(places.researcher, ['train', 'pack', ...train]);
  const stranger = join(places.home, 'stranger');
  const who = { role: 'researcher', id: 'mallory', title: 'Mallory', organisation: 'Example University' };
  await makeHome({ home: stranger, ...who }, join(places.network, 'network.json'), dispatcherOf(places));
  return {
    changed: await pack(...TREATMENT_EFFECT),
    altered: await pack(...HELLO),
    expired: await pack(...HELLO, '--expires-in', SHORT_LIFE),
    stranger,
  };
}

/** The same address that the researcher's own configuration names. */
export function dispatcherOf(places: Places): string {
  const text = readFileSync(join(places.researcher, 'config.yaml'), 'utf8');
  return (parse(text) as { dispatcher: { address: string } }).dispatcher.address;
}

/** @param departed a train that has been there and back */
export async function refuse(
  places: Places,
  suspects: Suspects,
  departed: string,
  checks: Checks,
): Promise<void> {
  const { changed, altered, expired, stranger } = suspects;
  changeParameter(changed);
  const restore = alterImage(places.researcher, altered);
  await sleep(Math.max(0, expired.expiresMs - Date.now() + 1));
  const submit = (trainId: string) => (): Promise<Failure> =>
    refusal(places.researcher, [...SUBMIT, trainId]);
  const trains: Refused[] = [
    {
      what: 'a parameter was changed after signing',
      wanted: 'signature.invalid',
      try: submit(changed.trainId),
    },
    {
      what: 'the network does not know the researcher',
      wanted: 'signer.unknown',
      try: () => refusal(stranger, [...SUBMIT, ...HELLO]),
    },
    { what: 'the image is not the signed one', wanted: 'image.mismatch', try: submit(altered.trainId) },
    { what: 'the manifest has expired', wanted: 'manifest.expired', try: submit(expired.trainId) },
    { what: 'the train has been there before', wanted: 'replayed', try: submit(departed) },
  ];
  const answers = await Promise.all(trains.map(async (train) => ({ train, answer: await train.try() })));
  restore(); // the next train may stand on the same image
  for (const { train, answer } of answers) {
    say(`${train.what}:`);
    say(`${answer.message} [${answer.code}]`, 4);
    checks.hold(`refused: ${train.what}`, answer.code === train.wanted, `${answer.code}: ${answer.message}`);
  }
}

/** What counts as an event is turned round in the signed statement; the signature stays as it was. */
function changeParameter({ directory }: Packed): void {
  const path = join(directory, 'manifest.dsse.json');
  const envelope = JSON.parse(readFileSync(path, 'utf8')) as { payload: string };
  const statement = Buffer.from(envelope.payload, 'base64').toString('utf8');
  const changed = statement.replace('"event":"1"', '"event":"0"');
  if (changed === statement) throw new Error('the manifest has no such parameter to change');
  writeFileSync(path, JSON.stringify({ ...envelope, payload: Buffer.from(changed).toString('base64') }));
}

/** One byte of the image's configuration differs from what its digest says. @returns what undoes it */
function alterImage(home: string, { image }: Packed): () => void {
  const depot = join(home, 'depot');
  const name = readdirSync(depot, { recursive: true, encoding: 'utf8' }).find(
    (path) => path.endsWith(image.configDigest) && statSync(join(depot, path)).isFile(),
  );
  if (name === undefined) throw new Error(`no blob ${image.configDigest} in ${depot}`);
  const bytes = readFileSync(join(depot, name));
  const at = bytes.indexOf('/app/');
  if (at === -1) throw new Error('the image names no program');
  const altered = Buffer.from(bytes);
  altered.write('/apq/', at);
  const path = join(depot, name);
  writeFileSync(path, altered);
  return () => writeFileSync(path, bytes);
}
