import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readBundle } from '../../src/adapters/bundle/tar.ts';
import { createSealer } from '../../src/adapters/envelope/jwe.ts';
import { storeKey } from '../../src/adapters/home/keys.ts';
import { lockHome } from '../../src/adapters/home/lock.ts';
import { storeNetwork } from '../../src/adapters/home/network-file.ts';
import { bind } from '../../src/adapters/wire/bind.ts';
import { bundleTrain } from '../../src/cli/audit-bundle.ts';
import { judgeMisconduct } from '../../src/cli/audit-misconduct.ts';
import { proveTrain } from '../../src/cli/audit-proof.ts';
import { showTrain } from '../../src/cli/audit-show.ts';
import { verifyLogs } from '../../src/cli/audit-verify.ts';
import { createFrame, type Frame } from '../../src/cli/frame.ts';
import { createOutput } from '../../src/cli/output.ts';
import { LedgerService } from '../../src/gen/pht/v1/ledger_pb.ts';
import { bundleIn } from '../../src/journey/auditor/bundle.ts';
import type { FindingCode } from '../../src/journey/auditor/findings.ts';
import { encodeEnvelope } from '../../src/model/dsse.ts';
import { PhtError } from '../../src/model/error.ts';
import { formatMisconduct, misconductOf } from '../../src/model/ledger/misconduct.ts';
import { ledgerOrigin } from '../../src/model/ledger/origin.ts';
import { formatPastHeads } from '../../src/model/ledger/past-heads.ts';
import { signStatement } from '../../src/model/statement.ts';
import type { Service } from '../../src/ports/wire.ts';
import { type FakeNetwork, makeNetwork, memberIn, publicOf } from '../fakes/network.ts';
import { openScope } from '../wire/harness.ts';
import { type SignedStory, signedStory } from './signed-story.ts';
import {
  encodedLogs,
  filler,
  headOf,
  honestLines,
  type Lines,
  releasedHop,
  type Served,
  START_MS,
  serve,
  signedLog,
  WITNESSING,
} from './story.ts';

/** The auditor's commands over a real wire: a home, a dispatcher that serves what it likes, and what is kept. */

const scope = openScope();
const home = mkdtempSync(join(tmpdir(), 'pht-auditor-'));
const NOW_MS = Date.now();
let fake: FakeNetwork;
let served: Served;
let story: SignedStory;
/** First index of every range that was asked for, by member. */
let asked: [string, number][] = [];

/** Entries as they are, whatever the range asked for is. */
const ledgers: Service<typeof LedgerService> = {
  logs: async () => ({ members: [...served.keys()] }),
  checkpoint: async ({ member }) => {
    const checkpoint = served.get(member)?.checkpoint;
    if (checkpoint == null) throw new PhtError('not-found', 'no such log');
    return { checkpoint };
  },
  pastHeads: async ({ member }) => ({ heads: served.get(member)?.pastHeads ?? new Uint8Array() }),
  entries: async function* ({ member, firstIndex, endIndex }) {
    const entries = served.get(member)?.entries ?? [];
    asked.push([member, Number(firstIndex)]);
    for (let at = Number(firstIndex); at < Number(endIndex); at += 100) {
      yield { entries: entries.slice(at, Math.min(at + 100, Number(endIndex))) };
    }
  },
  publish: async () => {
    throw new PhtError('forbidden', 'nobody publishes here');
  },
  statements: async () => {
    const { manifest, orders, receipts } = story;
    return { manifest, cancellation: new Uint8Array(), orders, receipts };
  },
};

type Ran = { status: number; json: Report; text: string };
type Written = { proofs: { file: string; type: string }[]; networkId: string; statements: number };
type Report = {
  verdict: string;
  read: string;
  logs: { member: string; size: number; continues: number | null; verified: boolean }[];
  findings: { code: FindingCode; severity: string; log: string | null }[];
  events: { member: string; text: string }[];
  openHops: object[];
};

async function run(command: (frame: Frame) => Promise<void>, json = true): Promise<Ran> {
  let text = '';
  const write = (part: string): void => {
    text += part;
  };
  const sink = { write, isTTY: false };
  const output = createOutput({ json, stdout: sink, stderr: { write: () => undefined }, env: {} });
  const frame = createFrame({
    output,
    env: {},
    home: () => home,
    signal: () => new AbortController().signal,
  });
  process.exitCode = undefined;
  await command(frame);
  const status = Number(process.exitCode ?? 0);
  return { status, text, json: (json ? JSON.parse(text) : {}) as Report };
}
const verify = (logs?: string): Promise<Ran> =>
  run((frame) => verifyLogs(frame, logs === undefined ? {} : { logs }));
const verifyNew = (): Promise<Ran> => run((frame) => verifyLogs(frame, { new: true }));
const codes = ({ json }: Ran): FindingCode[] => json.findings.map(({ code }) => code);
const atMs = NOW_MS - START_MS - 3_600_000;
const recent = (lines: Lines): Lines =>
  Object.fromEntries(
    Object.entries(lines).map(([member, of]) => [
      member,
      of.map((line) => ({ ...line, atMs: line.atMs + atMs })),
    ]),
  );
const grown = (count: number): Lines =>
  recent({ ...honestLines(), north: [...releasedHop('t', 'north'), ...filler(count)] });

beforeAll(async () => {
  fake = await makeNetwork({
    admins: { adam: 'south' },
    auditors: ['olga'],
    witnessing: WITNESSING,
    nowMs: NOW_MS,
  });
  story = signedStory(fake);
  const { address } = await scope.serve({
    listen: '127.0.0.1:0',
    tls: memberIn(fake, 'dispatcher').tls,
    network: () => fake.network,
    services: [bind(LedgerService, ledgers, { roles: ['auditor'] })],
  });
  mkdirSync(join(home, 'keys'), { mode: 0o700 });
  const member = {
    v: 1,
    id: 'olga',
    role: 'auditor',
    title: 'Olga',
    organisation: 'O',
    networkId: fake.network.id,
  };
  writeFileSync(join(home, 'member.json'), JSON.stringify(member));
  writeFileSync(join(home, 'config.yaml'), `dispatcher:\n  address: '${address}'\n`);
  storeNetwork(home, fake.files, fake.network);
  await storeKey(home, 'tls', memberIn(fake, 'olga').keys.tls, null);
  await storeKey(home, 'encryption', memberIn(fake, 'olga').keys.encryption, null);
});
afterEach(() => {
  process.exitCode = undefined;
  asked = [];
  rmSync(join(home, 'audit'), { recursive: true, force: true });
});
afterAll(async () => {
  await scope.close();
  rmSync(home, { recursive: true, force: true });
});

describe('pht audit verify', () => {
  it('verifies, remembers, and compares the next time', async () => {
    served = serve(fake, grown(100));
    const first = await verify();
    expect([first.status, first.json.verdict, first.json.findings]).toEqual([0, 'sound', []]);
    expect(first.json.logs.map(({ member, size, continues }) => [member, size, continues])).toEqual([
      ['north', 110, null],
      ['south', 10, null],
      ['dispatcher', 5, null],
    ]);
    served = serve(fake, grown(9000));
    const second = await verify();
    expect(second.json.logs.map(({ size, continues }) => [size, continues])).toEqual([
      [9010, 110],
      [10, 10],
      [5, 5],
    ]);
    const kept = await verify(join(home, 'audit/logs'));
    expect([kept.status, kept.json.logs]).toEqual([
      0,
      second.json.logs.map((log) => ({ ...log, continues: log.size })),
    ]);
  });

  it('finds a roll-back, keeps what it knew, and finds it again', async () => {
    served = serve(fake, grown(100));
    await verify();
    served = serve(fake, grown(50));
    for (let time = 0; time < 2; time++) {
      const ran = await verify();
      expect([ran.status, codes(ran)]).toEqual([4, ['log.rolled-back']]);
    }
    served = serve(fake, grown(100));
    expect((await verify()).status).toBe(0);
  });

  it('finds one byte that was changed in a copy', async () => {
    served = serve(fake, grown(100));
    await verify();
    const copy = join(home, 'audit/copy');
    cpSync(join(home, 'audit/logs'), copy, { recursive: true });
    const path = join(copy, 'south/tile/entries/000.p/10');
    const bytes = readFileSync(path);
    const middle = Math.floor(bytes.length / 2);
    bytes[middle] = (bytes[middle] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const ran = await verify(copy);
    expect([ran.status, ran.json.verdict]).toEqual([4, 'unsound']);
    expect(codes(ran)).toContain('entries.altered');
  });

  const TAMPERED: [string, (text: string) => string][] = [
    ['cut short', (text) => text.slice(0, -20)],
    ['of another network', (text) => text.replace(/"networkId": "../, '"networkId": "zz')],
    ['with a smaller size', (text) => text.replace('\\n110\\n', '\\n100\\n')],
    ['with the log of another', (text) => text.replaceAll('"north"', '"x"').replaceAll('"south"', '"north"')],
    ['empty', () => ''],
    [
      'with a log left out, and what it left open',
      (text) => {
        const { resume: _, ...state } = JSON.parse(text) as { logs: Record<string, string>; resume: object };
        const { north: __, ...logs } = state.logs;
        return JSON.stringify({ ...state, logs });
      },
    ],
    [
      'with an older head of a log, which its member has signed, too',
      (text) => {
        const { resume: _, ...state } = JSON.parse(text) as { logs: Record<string, string>; resume: object };
        const older = Buffer.from(serve(fake, grown(5)).get('north')?.checkpoint ?? '').toString();
        return JSON.stringify({ ...state, logs: { ...state.logs, north: older } });
      },
    ],
    ['bound by another key', (text) => text.replace(/("keyId": ")[0-9a-f]{4}/, '$10000')],
  ];
  it.each(TAMPERED)('finds a memory that was tampered with: %s', async (_, tamper) => {
    served = serve(fake, grown(100));
    await verify();
    const path = join(home, 'audit/state.json');
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, tamper(text));
    const ran = await verify();
    expect([ran.status, codes(ran)]).toEqual([4, ['state.damaged']]);
    // It is evidence: no audit overwrites it.
    expect(readFileSync(path, 'utf8')).toBe(tamper(text));
    expect((await verify()).status).toBe(4);
  });

  it('says when its memory is gone', async () => {
    served = serve(fake, grown(100));
    await verify();
    rmSync(join(home, 'audit/state.json'));
    const ran = await verify();
    expect([ran.status, ran.json.verdict, codes(ran)]).toEqual([0, 'warnings', ['state.missing']]);
  });

  it('a reader of a copy leaves nothing behind', async () => {
    served = serve(fake, grown(1));
    await verify();
    cpSync(join(home, 'audit/logs'), join(home, 'copy'), { recursive: true });
    rmSync(join(home, 'audit'), { recursive: true });
    expect((await verify(join(home, 'copy'))).status).toBe(0);
    expect(existsSync(join(home, 'audit'))).toBe(false);
    rmSync(join(home, 'copy'), { recursive: true });
  });

  it('runs once at a time', async () => {
    mkdirSync(join(home, 'audit'));
    const unlock = lockHome(join(home, 'audit'));
    await expect(verify()).rejects.toMatchObject({ code: 'home.locked' });
    unlock();
  });

  it('prints a page of at most 80 columns', async () => {
    served = serve(fake, recent({ ...honestLines(), north: releasedHop('t', 'north').slice(0, 7) }));
    served.delete('south');
    const { text, status } = await run((frame) => verifyLogs(frame, {}), false);
    expect(status).toBe(4);
    expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(text).toMatch(/^NOT SOUND: 2 findings/m);
    expect(text).toContain('ERROR log.missing (south)');
    expect(text).toContain('Under way, without a receipt yet: 1');
  });
});

describe('pht audit show', () => {
  const { trainId } = headOf('t', 'north');
  const show = (train: string, json = true): Promise<Ran> =>
    run((frame) => showTrain(frame, train, {}), json);

  it("tells a train's life across the logs", async () => {
    served = serve(fake, grown(10));
    const { json, status } = await show(trainId);
    expect(status).toBe(0);
    const told = json.events.map(({ member, text }) => `${member}: ${text}`);
    expect(told[0]).toBe('dispatcher: admitted the train');
    expect(told).toContain('south: policy says ask, not replayed (r1)');
    expect(told).toContain('south: cleared in person by (not disclosed)');
    expect(told).toContain('north: cleared by policy');
    expect(told.at(-1)).toBe('dispatcher: took the receipt of south: released');
    expect(told).toHaveLength(25);
    const { text } = await show(trainId, false);
    expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(text).toContain('they agree with one another');
  });

  it('believes no log that does not verify', async () => {
    served = serve(fake, grown(10));
    served.get('south')?.entries.pop();
    const { json, status } = await show(trainId);
    expect(status).toBe(4);
    expect(json.events.some(({ member }) => member === 'south')).toBe(false);
  });

  it('a train that nobody speaks of, and what is no train', async () => {
    served = serve(fake, grown(10));
    await expect(show('trn_000000000000000000000000')).rejects.toMatchObject({ code: 'not-found' });
    await expect(show('../x')).rejects.toMatchObject({ code: 'usage.invalid' });
  });
});

describe('pht audit verify --new', () => {
  const middle = (): Lines => {
    const { north = [], dispatcher = [], south = [] } = honestLines();
    return recent({ north: north.slice(0, 4), south, dispatcher: dispatcher.slice(0, 3) });
  };
  const whole = (): Lines => recent(honestLines());

  it('reads only what is new, and finds nothing where there is nothing', async () => {
    served = serve(fake, middle());
    expect((await verify()).status).toBe(0);
    asked = [];
    served = serve(fake, whole());
    const ran = await verifyNew();
    expect([ran.status, codes(ran), ran.json.read]).toEqual([0, [], 'new']);
    expect(ran.json.logs.map(({ size, continues }) => [size, continues])).toEqual([
      [10, 4],
      [10, 10],
      [5, 3],
    ]);
    // The copy that grew is whole.
    expect((await verify(join(home, 'audit/logs'))).status).toBe(0);
    const again = await verifyNew();
    expect([again.status, codes(again)]).toEqual([0, []]);
  });

  it('does not ask for what it has seen', async () => {
    served = serve(fake, grown(900));
    await verify();
    asked = [];
    served = serve(fake, grown(1000));
    expect((await verifyNew()).json.logs[0]).toMatchObject({ size: 1010, continues: 910 });
    const ofNorth = asked.filter(([member]) => member === 'north').map(([, first]) => first);
    // The last bundle was not full.
    expect(ofNorth.every((first) => first >= 768)).toBe(true);
    expect(ofNorth).toContain(910);
  });

  const LATE: [string, FindingCode, (lines: Lines) => Lines][] = [
    [
      'a release without its screening',
      'release.without-screening',
      (lines) => ({
        ...lines,
        north: (lines['north'] ?? []).filter(({ entry }) => entry.type !== 'output.screened'),
      }),
    ],
    [
      'a second release of a train that ended before',
      'release.duplicate',
      (lines) => ({
        ...lines,
        south: [
          ...(lines['south'] ?? []),
          ...(recent({ south: releasedHop('t', 'south', { attempt: 2, atMs: START_MS + 90_000 }) })[
            'south'
          ] ?? []),
        ],
      }),
    ],
    [
      'a second receipt of a hop that ended before',
      'receipt.unordered',
      (lines) => ({
        ...lines,
        south: [...(lines['south'] ?? []), ...(lines['south'] ?? []).slice(-1)],
      }),
    ],
  ];
  it.each(LATE)('finds %s, every time', async (_, code, change) => {
    // South and its hop have ended before.
    const { dispatcher = [] } = whole();
    const early = dispatcher.filter(
      ({ entry }) => entry.type !== 'receipt.received' || entry.hopId === headOf('t', 'south').hopId,
    );
    served = serve(fake, { ...middle(), dispatcher: early });
    expect(codes(await verify())).toEqual([]);
    const late = dispatcher.filter((line) => !early.includes(line));
    served = serve(fake, change({ ...whole(), dispatcher: [...early, ...late] }));
    // After a finding the next audit goes on from nothing.
    for (const read of ['new', 'everything']) {
      const ran = await verifyNew();
      expect([ran.status, ran.json.read]).toEqual([4, read]);
      if (read === 'new') expect(codes(ran)).toContain(code);
    }
  });

  it('reads everything where the past was rewritten, and says so', async () => {
    served = serve(fake, whole());
    await verify();
    const { north = [], ...rest } = whole();
    const rewritten = [...north.slice(0, 9), ...filler(5, NOW_MS - 1000)];
    served = serve(fake, { ...rest, north: rewritten });
    const ran = await verifyNew();
    expect(codes(ran)).toContain('log.forked');
    expect([ran.status, ran.json.read]).toEqual([4, 'everything']);
  });

  const TAMPERED: [string, (text: string) => string][] = [
    ['a release forgotten', (text) => text.replace(/"releases": \[[^\]]*\][^\]]*\]/, '"releases": []')],
    [
      'a train admitted',
      (text) => text.replace('"admitted": [', '"admitted": [ "trn_000000000000000000000000",'),
    ],
    ['another time', (text) => text.replace(/"newestMs": \d+/, '"newestMs": 1')],
    ['another tree', (text) => text.replace(/("peaks": \[\s*")[0-9a-f]{4}/, '$10000')],
    ['another code', (text) => text.replace(/("mac": ")[0-9a-f]{4}/, '$10000')],
  ];
  it.each(TAMPERED)('finds what is open tampered with: %s', async (_, tamper) => {
    served = serve(fake, whole());
    await verify();
    const path = join(home, 'audit/state.json');
    const text = readFileSync(path, 'utf8');
    expect(tamper(text)).not.toBe(text);
    writeFileSync(path, tamper(text));
    for (const ran of [await verifyNew(), await verify()]) {
      expect([ran.status, codes(ran), ran.json.read]).toEqual([4, ['state.damaged'], 'everything']);
    }
    expect(readFileSync(path, 'utf8')).toBe(tamper(text));
  });

  it('has nothing to do with copies and disclosures', async () => {
    for (const options of [{ logs: home }, { disclosure: ['x'] }]) {
      const ran = run((frame) => verifyLogs(frame, { new: true, ...options }));
      await expect(ran).rejects.toMatchObject({ code: 'usage.invalid' });
    }
  });
});

describe('pht audit verify --against', () => {
  const theirs = join(home, 'theirs');
  afterEach(() => rmSync(theirs, { recursive: true, force: true }));
  const against = (): Promise<Ran> => run((frame) => verifyLogs(frame, { against: theirs }));
  it('says where there was nothing to compare with, and that a log was withheld', async () => {
    served = serve(fake, grown(1));
    mkdirSync(theirs, { recursive: true });
    const nothing = await against();
    expect([nothing.status, codes(nothing)]).toEqual([0, Array(3).fill('copy.unusable')]);
    rmSync(join(home, 'audit'), { recursive: true });
    rmSync(theirs, { recursive: true });
    const alone: Lines = { north: recent({ north: filler(3) })['north'] ?? [], south: [], dispatcher: [] };
    served = serve(fake, alone);
    expect((await verify()).status).toBe(0);
    cpSync(join(home, 'audit/logs'), theirs, { recursive: true });
    rmSync(join(home, 'audit'), { recursive: true });
    served.delete('north');
    const hidden = await against();
    expect(hidden.status).toBe(4);
    expect(codes(hidden)).toEqual(expect.arrayContaining(['log.withheld', 'log.missing']));
  });

  /** What another reader was shown, and kept. */
  const shown = async (lines: Lines): Promise<void> => {
    served = serve(fake, lines);
    expect((await verify()).status).toBe(0);
    cpSync(join(home, 'audit/logs'), theirs, { recursive: true });
    rmSync(join(home, 'audit'), { recursive: true });
  };
  const other = (count: number): Lines => {
    const { north: _, ...rest } = grown(1);
    return {
      ...rest,
      ...recent({ north: [...releasedHop('t', 'north'), ...filler(count, START_MS + 300_001)] }),
    };
  };

  it.each([50, 700, 1300])('agrees with a reader who was shown %i entries of the same log', async (count) => {
    await shown(grown(count));
    served = serve(fake, grown(700));
    expect(codes(await against())).toEqual([]);
  });

  it.each([50, 700, 1300])('finds that two readers were shown different logs: %i entries', async (count) => {
    await shown(other(count));
    served = serve(fake, grown(700));
    const ran = await against();
    expect([ran.status, ran.json.findings]).toMatchObject([
      4,
      [{ code: 'log.forked', severity: 'misconduct', log: 'north' }],
    ]);
  });

  it('a copy that somebody altered accuses nobody', async () => {
    await shown(grown(700));
    const path = join(theirs, 'north/tile/0/000');
    const bytes = readFileSync(path);
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    served = serve(fake, grown(100));
    const ran = await against();
    expect([ran.status, ran.json.findings]).toMatchObject([
      4,
      [{ code: 'copy.unusable', severity: 'error' }],
    ]);
  });
});

describe('pht audit verify --disclosure', () => {
  const file = join(home, 'south.disclosure');
  const withFile = (...paths: string[]): Promise<Ran> =>
    run((frame) => verifyLogs(frame, { disclosure: paths }));

  it('opens what was sealed to this auditor, and nothing else', async () => {
    served = serve(fake, grown(1));
    const { trainId, manifestDigest } = headOf('t', 'south');
    const predicate = {
      ...{ networkId: fake.network.id, networkVersion: 1, issuer: 'south', issuedAtMs: NOW_MS },
      ...{ trainId, to: 'olga', ledgerSize: 10, policies: [], hops: [] },
    };
    const subject = { name: 'manifest', digest: manifestDigest };
    const { envelope } = signStatement('disclosure', subject, predicate, memberIn(fake, 'south').signer);
    const sealed = async (to: string): Promise<Uint8Array> =>
      createSealer().seal(encodeEnvelope(envelope), [publicOf(memberIn(fake, to).keys.encryption)]);
    for (const bytes of [await sealed('olga'), encodeEnvelope(envelope)]) {
      writeFileSync(file, bytes);
      const ran = await withFile(file);
      expect([ran.status, codes(ran)]).toEqual([0, ['disclosure.incomplete', 'disclosure.incomplete']]);
    }
    await expect(withFile(file, file)).rejects.toMatchObject({ code: 'usage.invalid' });
    writeFileSync(file, await sealed('rosa'));
    await expect(withFile(file)).rejects.toMatchObject({ code: 'envelope.invalid' });
    const forged = { ...envelope, payload: Buffer.from('{}').toString('base64') };
    writeFileSync(file, encodeEnvelope(forged));
    await expect(withFile(file)).rejects.toMatchObject({
      code: expect.stringMatching(/^(statement|signature)/),
    });
  });
});

describe('pht audit proof and bundle', () => {
  const out = join(home, 'out');
  afterEach(() => rmSync(out, { recursive: true, force: true }));
  const written = async (command: (frame: Frame) => Promise<void>): Promise<Written> =>
    (await run(command)).json as unknown as Written;

  it('write a proof of each entry, each of which holds by itself', async () => {
    served = serve(fake, recent(story.lines));
    const { proofs } = await written((frame) => proveTrain(frame, story.trainId, { out }));
    expect(proofs).toHaveLength(25);
    for (const { file } of proofs) {
      const ran = await run((frame) => proveTrain(frame, undefined, { check: file }));
      expect([ran.status, ran.json]).toMatchObject([0, { holds: true, cosigned: true }]);
    }
    const [{ file } = { file: '' }] = proofs;
    const { text } = await run((frame) => proveTrain(frame, undefined, { check: file }), false);
    expect(text).toMatch(/^HOLDS: entry \d+ of the \d+ of /);
    writeFileSync(file, readFileSync(file, 'utf8').replace('index ', 'index 1'));
    await expect(run((frame) => proveTrain(frame, undefined, { check: file }))).rejects.toMatchObject({
      code: 'proof.invalid',
    });
    for (const wrong of [
      run((frame) => proveTrain(frame, undefined, {})),
      run((frame) => proveTrain(frame, 'x', { check: file })),
    ])
      await expect(wrong).rejects.toMatchObject({ code: 'usage.invalid' });
  });

  it('are verified with no home and no network', async () => {
    served = serve(fake, recent(story.lines));
    mkdirSync(out);
    const bundle = join(out, 'train.tar');
    const { networkId, statements } = await written((frame) =>
      bundleTrain(frame, story.trainId, { out: bundle }),
    );
    expect([networkId, statements]).toEqual([fake.network.id, 5]);
    const nowhere = (given: object, json = true): Promise<Ran> =>
      run((frame) => verifyLogs({ ...frame, openHome: noHome }, { bundle, ...given }), json);
    const ran = await nowhere({ networkId });
    expect([ran.status, ran.json.verdict, codes(ran)]).toEqual([0, 'sound', []]);
    expect(ran.json.events).toHaveLength(25);
    const { text } = await nowhere({ networkId }, false);
    expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(text).toContain('not replayed');
    // An id that came with the bundle would prove nothing.
    await expect(nowhere({})).rejects.toMatchObject({ code: 'usage.invalid' });
    await expect(nowhere({ networkId: '0'.repeat(64) })).rejects.toMatchObject({ code: 'network.mismatch' });
    await expect(nowhere({ networkId, new: true })).rejects.toMatchObject({ code: 'usage.invalid' });
    await expect(
      written((frame) => bundleTrain(frame, story.trainId, { out: bundle })),
    ).rejects.toMatchObject({
      code: 'usage.invalid',
    });
  });

  it('prove each entry under the first head that is served, too, and go without where none are', async () => {
    mkdirSync(out);
    const lines = recent(story.lines);
    const entries = encodedLogs(fake, lines).get('dispatcher') ?? [];
    const first = signedLog(fake, 'dispatcher', entries.slice(0, 3)).checkpoint ?? new Uint8Array();
    const early = async (name: string): Promise<number[]> => {
      rmSync(join(home, 'audit'), { recursive: true, force: true });
      const bundle = join(out, name);
      await written((frame) => bundleTrain(frame, story.trainId, { out: bundle }));
      for (const ran of [await verify(), await run((frame) => verifyLogs(frame, { bundle }))])
        expect([ran.status, codes(ran)]).toEqual([0, []]);
      const { logs } = bundleIn(await readBundle(readFileSync(bundle)));
      return [...(logs.get('dispatcher')?.early.keys() ?? [])];
    };
    served = serve(fake, lines);
    const log = served.get('dispatcher');
    if (log === undefined) throw new Error('no log');
    log.pastHeads = formatPastHeads([first]);
    expect(await early('with.tar')).toEqual([0, 1, 2]);
    // As a dispatcher answers that knows of none.
    Object.defineProperty(log, 'pastHeads', {
      get: () => {
        throw new PhtError('internal', 'the peer does not know this call');
      },
    });
    expect(await early('without.tar')).toEqual([]);
  });

  const noHome = (): never => {
    throw new PhtError('usage.invalid', 'no home directory was named');
  };
});

describe('pht audit misconduct', () => {
  const file = join(home, 'proof.misconduct');
  const judge = (json = true): Promise<Ran> => run(async (frame) => judgeMisconduct(frame, file), json);

  it('says what a file proves, and that another one proves nothing', async () => {
    const [one, other] = [1, 2].map((later) => {
      const log = serve(fake, recent({ north: filler(20, START_MS + later) })).get('north');
      return Buffer.from(log?.checkpoint ?? []).toString();
    });
    if (one === undefined || other === undefined) throw new Error('no notes');
    const origin = ledgerOrigin(fake.network.id, 'north');
    const conflict = { member: 'north', origin, size: 20, notes: [one, other] as const };
    const bytes = formatMisconduct(misconductOf(fake.network, conflict));
    writeFileSync(file, bytes);
    const ran = await judge();
    expect([ran.status, ran.json]).toMatchObject([4, { proved: true, member: 'north', code: 'log.forked' }]);
    served = serve(fake, grown(1));
    const verified = await run((frame) => verifyLogs(frame, { evidence: [file] }));
    expect([verified.status, verified.json.findings]).toMatchObject([
      4,
      [{ code: 'log.forked', severity: 'misconduct', log: 'north' }],
    ]);
    const { text } = await judge(false);
    expect(text).toContain('PROVED: misconduct of north');
    expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
    for (const [from, to] of [
      ['"size":20', '"size":21'],
      ['"member":"north"', '"member":"south"'],
    ] as const) {
      writeFileSync(file, Buffer.from(bytes).toString().replace(from, to));
      await expect(judge()).rejects.toMatchObject({ code: 'proof.invalid' });
    }
  });
});
