import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ok, until } from '../journey/processes.ts';
import { honestDepot } from './images.ts';
import { openRig, type Rig, STATIONS } from './rig.ts';
import { signedTrain, type Train } from './trains.ts';

type Waiting = { hops: { hopId: string; state: string; problem: string }[] };

/** A dispatcher that shows the other witnesses nothing of one station's ledger, and everything of the others'. */
describe('a dispatcher that withholds one station from its witnesses', () => {
  let rig: Rig;
  let hello: Train;
  beforeAll(async () => {
    rig = await openRig({ witnesses: true });
    hello = await rig.pack('trains/hello');
    for (const station of STATIONS) rig.liar.script(station, { download: honestDepot(rig) });
    rig.liar.script('north', { withheld: true });
  }, 120_000);
  afterAll(() => rig.close());

  const receipts = (station: string, hopId: string): number =>
    rig.liar.reports(station).filter((report) => report.hopId === hopId && report.body.case === 'receipt')
      .length;

  it('gets no result of it, and the station says for whom it waits', async () => {
    const south = await rig.travelled('south', rig.order('south', hello));
    expect(south.end).toBe('released released');

    const ordered = rig.order('north', hello);
    rig.send('north', ordered);
    const waiting = await until('a result that waits', async () => {
      const { hops } = await ok<Waiting>(rig.journey.home('north'), ['station', 'inbox']);
      return hops.find(({ hopId, problem }) => hopId === ordered.hopId && problem !== '') ?? null;
    });
    expect(waiting.state).toBe('awaiting-witness');
    expect(waiting.problem).toContain('south');
    expect(receipts('north', ordered.hopId)).toBe(0);

    rig.liar.script('north', { withheld: false });
    expect((await rig.heard('north', ordered)).end).toBe('released released');
    rig.liar.script('north', { withheld: true });
  }, 120_000);

  it('gets the word that nothing left, once the order has expired', async () => {
    const train = signedTrain(hello, await rig.signer('lee'));
    const ordered = rig.order('north', train, { expiresMs: Date.now() + 10_000 });
    rig.send('north', ordered);
    const heard = await rig.heard('north', ordered);
    expect(heard.end).toBe('withheld witness.unreachable');
    const types = rig.entries('north').filter(({ hopId }) => hopId === ordered.hopId);
    expect(types.map(({ type }) => type).slice(-3)).toEqual([
      'result.released',
      'release.withdrawn',
      'receipt.issued',
    ]);
  }, 120_000);
});
