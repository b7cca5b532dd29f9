import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { digestOf } from '../../src/model/id.ts';
import {
  ASK_TWO,
  approved,
  decideOn,
  dryRunOf,
  endOf,
  showOf,
  standingOf,
  tookHop,
  waitingHop,
  withdrawalOf,
  withdrawWith,
} from '../fakes/approvals.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import { ASK, makeStation, PERMIT, type Process, type Rig } from '../fakes/station.ts';
import { makeImage } from '../fakes/trains.ts';

/** What a person sees before deciding: what the image did here before, and what the hop would meet now. */

const NOW = Date.UTC(2026, 5, 1, 12);

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

beforeEach(async () => {
  fake = await makeNetwork({ admins: { nora: 'north', nils: 'north' }, nowMs: NOW });
  rig = makeStation(fake, NOW);
  rig.policy(ASK);
  station = rig.start();
});
afterEach(() => rig.close());

const nonce = (digit: string) => ({ nonce: digit.repeat(32) });

describe("the image's history", () => {
  test('is empty the first time', async () => {
    const { image } = await showOf(station, await waitingHop(rig, station));
    expect(image).toEqual({
      ...{ hops: 0, released: 0, refused: 0, firstSeenMs: 0n, lastApprovedMs: 0n, lastApprovedBy: '' },
    });
  });

  test('counts what came, and names who approved it last', async () => {
    const first = await waitingHop(rig, station, nonce('a'));
    await approved(rig, station, first);
    expect(await endOf(rig, station, first)).toBe('released released');
    rig.clock.ms += 1000;
    const second = await waitingHop(rig, station, nonce('b'));
    const digest = await approved(rig, station, second, { by: 'nils', verdict: 'reject' });
    await station.visit(second);
    const third = await waitingHop(rig, station, nonce('c'));
    const shown = await showOf(station, third);
    expect(shown.image).toEqual({
      ...{ hops: 2, released: 1, refused: 1 },
      ...{ firstSeenMs: BigInt(NOW), lastApprovedMs: BigInt(NOW), lastApprovedBy: 'nora' },
    });
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    const other = makeImage(['/other']);
    for (const [each, bytes] of other.blobs) rig.blobs.set(each, bytes);
    expect(
      (await showOf(station, await waitingHop(rig, station, { image: other.image }))).image,
    ).toMatchObject({ hops: 0 });
  });

  test('forgets an approval that was withdrawn, and one of somebody who has left', async () => {
    const first = await waitingHop(rig, station, nonce('a'));
    const digest = await approved(rig, station, first);
    await endOf(rig, station, first);
    const second = await waitingHop(rig, station, nonce('b'));
    await approved(rig, station, second, { by: 'nils' });
    await endOf(rig, station, second);
    const third = await waitingHop(rig, station, nonce('c'));
    const by = async () => (await showOf(station, third)).image?.lastApprovedBy;
    expect(await by()).toBe('nils');
    rig.settings.network = fake.without('nils').network;
    expect(await by()).toBe('nora');
    await withdrawWith(station, withdrawalOf(rig, digest));
    expect(await by()).toBe('');
  });
});

describe('the fact that a person approved this image here', () => {
  const KNOWN = `${ASK}
@id("known") @explain("an image that a person approved here")
permit (principal, action == Action::"Run", resource) when { context.train.imageApprovedHere };`;

  async function states(): Promise<(string | undefined)[]> {
    const hopId = await tookHop(rig, station, nonce('f'));
    return [station.store.hops.find(hopId)?.notes.verdict];
  }

  test('holds after an approval that was used, and not for the hop that asks', async () => {
    rig.policy(KNOWN);
    const first = await waitingHop(rig, station, nonce('a'));
    await approved(rig, station, first);
    expect(await endOf(rig, station, first)).toBe('released released');
    expect(station.store.hops.find(first)?.notes.verdict).toBe('ask');
    expect(await states()).toEqual(['permit']);
  });

  test('does not hold for the first of two approvals', async () => {
    rig.policy(KNOWN.replace('@explain("an admin decides")', '@explain("two decide") @approvals("2")'));
    const first = await waitingHop(rig, station, nonce('a'));
    await approved(rig, station, first);
    expect(await station.visit(first)).toEqual({ is: 'waiting' });
    expect(await states()).toEqual(['ask']);
  });

  test('ends with a withdrawal, and with the admin', async () => {
    rig.policy(KNOWN);
    const first = await waitingHop(rig, station, nonce('a'));
    const digest = await approved(rig, station, first);
    await endOf(rig, station, first);
    const before = rig.settings.network;
    rig.settings.network = fake.without('nora').network;
    expect(await states()).toEqual(['ask']);
    rig.settings.network = before;
    await withdrawWith(station, withdrawalOf(rig, digest, 'nils'));
    const hopId = await tookHop(rig, station, nonce('e'));
    expect(station.store.hops.find(hopId)?.notes.verdict).toBe('ask');
  });

  test('does not hold for an image of which only the code was approved', async () => {
    rig.policy(KNOWN);
    const first = await waitingHop(rig, station, nonce('a'));
    await decideOn(station, first, await standingOf(rig, station, first, { runs: 1, scope: 'code' }));
    await endOf(rig, station, first);
    expect(await states()).toEqual(['ask']);
  });
});

describe('a dry run', () => {
  const named = async (hopId: string) =>
    Object.fromEntries(
      (await dryRunOf(station, hopId)).map(({ name, state, code }) => [name, `${state} ${code}`.trim()]),
    );

  test('says gate by gate what the hop would meet, and changes nothing', async () => {
    const hopId = await waitingHop(rig, station);
    const before = [station.store.hops.find(hopId), station.store.ledgerRows.size()];
    expect(await named(hopId)).toEqual({
      ...{ inspect: 'passes', decide: 'passes', clear: 'waits' },
      ...{ engine: 'passes', image: 'waits', disclosure: 'passes' },
    });
    await approved(rig, station, hopId);
    expect(await named(hopId)).toMatchObject({ clear: 'passes' });
    expect([station.store.hops.find(hopId), station.store.ledgerRows.size()]).toEqual(before);
    expect(rig.executor.loaded).toEqual([]);
    const { text } = (await dryRunOf(station, hopId)).find(({ name }) => name === 'disclosure') ?? {};
    expect(text).toContain('no count below 10');
  });

  test('keeps no salt of what it tried, and no policy that has decided nothing', async () => {
    const hopId = await waitingHop(rig, station);
    // So that there would be something to decide, and to commit to.
    const edited = `${ASK}\n// edited`;
    rig.policy(edited);
    await dryRunOf(station, hopId);
    expect(station.store.archive.policy(digestOf(ASK))).toBe(ASK);
    expect(station.store.archive.policy(digestOf(edited))).toBeNull();
    const committed = station
      .entries()
      .flatMap(({ body }) => Object.keys(body).filter((name) => name.endsWith('Commitment')));
    const nothing = {
      trainId: null,
      hopId: null,
      attempt: null,
      epoch: null,
      manifestDigest: null,
      prev: null,
    };
    const { salts } = station.store.archive.erase('rosa', NOW, (count) => ({
      ...{ type: 'salts.erased', ...nothing, body: { count } },
    }));
    expect(salts).toBe(committed.length);
  });

  test('names the first thing that fails, and what stands behind it', async () => {
    const hopId = await waitingHop(rig, station);
    rig.policy('// nobody\n');
    expect(await named(hopId)).toEqual({
      ...{ inspect: 'passes', decide: 'fails policy.denied', engine: 'passes', image: 'waits' },
    });
    rig.policy(ASK_TWO);
    const two = (await dryRunOf(station, hopId)).map(({ text }) => text);
    expect(two).toContain('2 persons have to approve');
    expect(two).toContain('0 of 2 approvals');
    rig.clock.ms += 8 * 86_400_000;
    expect(await named(hopId)).toMatchObject({ inspect: expect.stringMatching(/^(fails|waits) /) });
    expect(station.store.hops.find(hopId)?.state).toBe('awaiting-clearance');
  });

  test('passes for what the policy permits by itself, and for what was cleared', async () => {
    const hopId = await waitingHop(rig, station);
    rig.policy(PERMIT);
    expect(await named(hopId)).toMatchObject({ decide: 'passes', clear: 'passes' });
    rig.policy(ASK);
    await approved(rig, station, hopId);
    expect(await endOf(rig, station, hopId)).toBe('released released');
    await expect(dryRunOf(station, hopId)).rejects.toMatchObject({ code: 'conflict' });
  });
});
