import { expect, test } from 'vitest';
import { type Arrival, proofFileOf, type StationAccount } from '../model/account.ts';
import type { TrainId } from '../model/id.ts';
import { proofLines } from './train-proofs.ts';

const ID = 'trn_0123456789abcdef01234567' as TrainId;

function account(station: string, witnesses: string[] | null): StationAccount {
  const proof = { origin: `signalbox.example/net/${station}`, index: 11, size: 14 };
  const order = { ...proof, file: proofFileOf(ID, station, 'order'), witnesses: [] };
  const receipt = { ...proof, file: proofFileOf(ID, station, 'receipt'), witnesses: witnesses ?? [] };
  return {
    station,
    word: witnesses === null ? 'claimed' : 'attested',
    state: witnesses === null ? 'unheard' : 'released',
    code: '',
    text: '',
    reasons: [],
    atMs: null,
    receiptDigest: null,
    snapshotDigest: null,
    proofs: witnesses === null ? null : { order, receipt },
    result: null,
  };
}

function arrival(...stations: StationAccount[]): Arrival {
  return {
    schema: 'pht-arrival/v1',
    trainId: ID,
    title: 'T',
    state: 'arrived',
    minStations: 1,
    complete: true,
    stations,
  };
}

test('says for each receipt where it stands, how many cosigned that, and where the proofs lie', () => {
  const lines = proofLines(
    arrival(account('north', ['hub', 'south', 'west']), account('south', []), account('east', null)),
  );
  expect(lines).toEqual([
    '',
    'STATION  ITS RECEIPT  CHECKPOINT  COSIGNED BY',
    'north    entry 11     size 14     3: hub, south, west',
    'south    entry 11     size 14     no witness',
    `proofs in trains/${ID}/results of this home; each`,
    'verifies offline: pht audit proof --check FILE',
  ]);
});

test('stays within 80 columns however long the names are', () => {
  const long = (at: number): string => `${'a'.repeat(38)}${String(at).padStart(2, '0')}`;
  const many = Array.from({ length: 15 }, (_, at) => long(at));
  for (const line of proofLines(arrival(account(long(99), many)))) {
    expect(line.length).toBeLessThanOrEqual(80);
    if (line.startsWith('aaa')) expect(line).toContain(' 15: ');
  }
});

test('without any proof there is nothing to say', () => {
  expect(proofLines(arrival(account('east', null)))).toEqual([]);
});
