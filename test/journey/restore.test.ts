import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { arms, type Journey, makeJourney } from './harness.ts';
import { ok, pht, until } from './processes.ts';

/** `pht station restore`, with a real dispatcher and real witnesses. Erasures make entries without any train. */

let journey: Journey;

beforeAll(async () => {
  const station = { policy: 'none' as const, ...arms(10, 10) };
  journey = await makeJourney([
    { id: 'amsterdam', ...station },
    { id: 'utrecht', ...station },
  ]);
  await journey.startDispatcher();
  for (const id of ['amsterdam', 'utrecht']) await journey.startStation(id);
  await journey.online(2);
});
afterAll(() => journey.close());

/** With its modes, or the private keys would be refused. */
function copy(from: string, to: string): void {
  execFileSync('cp', ['-a', from, to]);
}

async function forget(): Promise<void> {
  const asked = ['station', 'forget', 'lee', '--reason', 'a request', '--socket'];
  await ok(journey.home('amsterdam-admin'), [...asked, join(journey.home('amsterdam'), 'admin.sock')]);
}

function sizeIn(home: string, sql: string): number {
  const database = new DatabaseSync(join(home, 'state.db'), { readOnly: true });
  try {
    return Number(database.prepare(sql).get()?.['size'] ?? 0);
  } finally {
    database.close();
  }
}

/** Cosigned, and with the dispatcher. */
async function mirrored(size: number): Promise<void> {
  const sql = `SELECT verified_size AS size FROM mirrors WHERE member = 'amsterdam'`;
  await until(`${size} mirrored entries`, async () => sizeIn(journey.home('dispatcher'), sql) >= size);
}

test('a home from an old backup is refused its signature, restored, and signs on', async () => {
  const home = journey.home('amsterdam');
  const rows = (): number => sizeIn(home, 'SELECT count(*) AS size FROM ledger_entries');
  const signed = (): number => sizeIn(home, 'SELECT max(size) AS size FROM ledger_checkpoints');
  await forget();
  await mirrored(rows());
  await journey.servers.get('amsterdam')?.stop();
  const backup = join(journey.dir, 'backup');
  copy(home, backup);

  await journey.startStation('amsterdam');
  await forget();
  await forget();
  const size = rows();
  await mirrored(size);
  expect((await pht(home, ['station', 'restore', '--yes'])).stdout).toContain('home.locked');
  await journey.servers.get('amsterdam')?.kill();
  rmSync(home, { recursive: true });
  copy(backup, home);

  await journey.startStation('amsterdam');
  const old = signed();
  await forget();
  await until('the refusal in the log', async () =>
    journey.servers.get('amsterdam')?.log().includes('ledger.inconsistent'),
  );
  // Nobody has to read a log to learn it.
  await until('the inbox to say so', async () => {
    const { value } = await pht<{ ledgerProblem?: string }>(home, ['station', 'inbox']);
    return value.ledgerProblem?.includes('ledger.inconsistent');
  });
  expect((await pht(home, ['station', 'doctor'])).stdout).toContain('ledger.inconsistent');
  expect(signed()).toBe(old);
  await journey.servers.get('amsterdam')?.stop();

  const asked = await pht(home, ['station', 'restore']);
  expect(asked.status).toBe(2);
  expect(asked.stdout).toContain('no other copy');
  const restored = await ok<Record<string, unknown>>(home, ['station', 'restore', '--yes']);
  expect(restored).toMatchObject({ station: 'amsterdam', restored: 2, from: old, to: size, erasures: 2 });
  expect(await ok(home, ['station', 'restore', '--yes'])).toMatchObject({ restored: 0 });

  await journey.startStation('amsterdam');
  await mirrored(rows());
  // The erasure of the old copy, and the restoration itself.
  expect(rows()).toBeGreaterThanOrEqual(size + 2);
});
