import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { readBundle, writeBundle } from '../../src/adapters/bundle/tar.ts';
import { encodeNetworkFile } from '../../src/adapters/home/network-file.ts';
import { createLogArchive } from '../../src/adapters/ledger/archive.ts';
import { openLogFolder } from '../../src/adapters/ledger/reader.ts';
import { audit, watchTrain } from '../../src/journey/auditor/audit.ts';
import { type Bundle, bundleIn, filesOf, newLog } from '../../src/journey/auditor/bundle.ts';
import { earlyProof } from '../../src/journey/auditor/early.ts';
import type { FindingCode, Severity } from '../../src/journey/auditor/findings.ts';
import { claimedHeads, mergedHeads } from '../../src/journey/auditor/past-heads.ts';
import { proofOf } from '../../src/journey/auditor/prove.ts';
import { verifyBundle } from '../../src/journey/auditor/verify-bundle.ts';
import { nextList } from '../../src/journey/authority/list.ts';
import { signFreshness, signMembers } from '../../src/journey/authority/sign.ts';
import { parseEnvelope, payloadOf } from '../../src/model/dsse.ts';
import { digestOf } from '../../src/model/id.ts';
import { ledgerOrigin, logKey } from '../../src/model/ledger/origin.ts';
import { formatPastHeads } from '../../src/model/ledger/past-heads.ts';
import { rotationBody } from '../../src/model/ledger/rotation.ts';
import type { Network, Witnessing } from '../../src/model/network.ts';
import { ed25519, type FakeNetwork, makeNetwork, memberIn, publicOf, signerOf } from '../fakes/network.ts';
import { openDesk } from '../spawn-pht.ts';
import { type SignedStory, signedStory } from './signed-story.ts';
import {
  AFTER_MS,
  encodedLogs,
  filler,
  type Line,
  NO_HOP,
  type Served,
  START_MS,
  servedSource,
  signedLog,
  WITNESSING,
} from './story.ts';

/** A bundle is judged by the network file in it, or by a newer one that knows who has left since. */

const home = mkdtempSync(join(tmpdir(), 'pht-bundle-history-'));
const desk = openDesk();
afterAll(() => {
  desk.clear();
  rmSync(home, { recursive: true, force: true });
});

const MINUTE_MS = 60_000;
/** When all of the train is on record, and its heads are cosigned. */
const SEEN_MS = START_MS + 5 * MINUTE_MS;
const NONE: Witnessing = { quorum: 'none' };

let fake: FakeNetwork;
let story: SignedStory;
const tell = async (witnessing: Witnessing = WITNESSING): Promise<void> => {
  fake = await makeNetwork({ admins: { adam: 'south' }, witnessing, nowMs: START_MS });
  story = signedStory(fake);
};
beforeEach(() => tell());

function served(lines = story.lines, cosignedAtMs = SEEN_MS, change: Record<string, object> = {}): Served {
  const logs = [...encodedLogs(fake, lines)];
  return new Map(
    logs.map(([member, entries]) => [
      member,
      signedLog(fake, member, entries, { cosignedAtMs, ...change[member] }),
    ]),
  );
}

let made = 0;
/**
 * What `pht audit bundle` puts together; with an auditor who saw `before` under the network file before, or with the
 * earlier heads that are served.
 */
async function bundled(
  logs: Served,
  by: Network = fake.network,
  before: Served = new Map(),
  isLate = false,
): Promise<Bundle> {
  const dir = join(home, `logs-${made++}`);
  const watched = watchTrain(story.trainId);
  const report = await audit(
    { source: servedSource(logs), archive: createLogArchive(dir), progress: () => undefined },
    { network: by, anchors: new Map(), nowMs: AFTER_MS, onEntry: watched.onEntry },
  );
  const source = await openLogFolder(dir);
  const all: Bundle['logs'] = new Map();
  for (const { member, index, entry } of [...watched.entries, ...watched.ofLogs()]) {
    const head = report.logs.find((log) => log.member === member.id)?.head;
    if (head == null) continue;
    const log = all.get(member.id) ?? newLog(head.signed);
    all.set(member.id, log);
    const placed = { member: member.id, index, entry };
    const of = { source, network: by, size: head.checkpoint.size };
    log.proofs.set(index, await proofOf(placed, head.signed, of));
    const seen = before.get(member.id)?.checkpoint ?? null;
    const early = seen === null ? null : await proofOf(placed, seen, of);
    const heads = (): Promise<Uint8Array | null> => source.pastHeads(member.id);
    const claimed = isLate ? mergedHeads(await claimedHeads(member.id, heads, () => undefined)) : [];
    const first = early ?? (await earlyProof(placed, claimed, of));
    if (first !== null) log.early.set(index, first);
  }
  const statements = [story.manifest, ...story.orders, ...story.receipts];
  return { network: Buffer.from(encodeNetworkFile(fake.files)), logs: all, statements, disclosures: [] };
}

const unasked = (): never => {
  throw new Error('nothing was disclosed');
};
const found = (bundle: Bundle, network: Network, madeUnder?: number): [Severity, FindingCode][] =>
  verifyBundle(bundle, network, unasked, madeUnder).findings.map(({ severity, code }) => [severity, code]);
const codes = (bundle: Bundle, network: Network, madeUnder?: number): FindingCode[] => [
  ...new Set(found(bundle, network, madeUnder).map(([, code]) => code)),
];

const revoked = (id: string, issuedAtMs: number, more: { invalidAfterMs?: number } = {}): Network => {
  const named = WITNESSING.quorum !== 'none' && WITNESSING.witnesses.includes(id);
  const change = { revoked: [{ id, reason: 'it left', ...more }], issuedAtMs };
  return fake.next(named ? { ...change, witnessing: NONE } : change).network;
};

describe('of a member that was revoked since', () => {
  it.each(['rosa', 'north', 'dispatcher'])(
    'what %s had signed counts if it was witnessed before',
    async (id) => {
      const bundle = await bundled(served());
      expect(codes(bundle, fake.network)).toEqual([]);
      const after = revoked(id, SEEN_MS + 1000);
      expect(codes(bundle, after, 1).filter((code) => code !== 'quorum.none')).toEqual([]);
    },
  );

  it.each([
    ['rosa', ['signer.revoked']],
    ['north', ['signer.revoked']],
    ['dispatcher', ['signer.revoked']],
  ])('what %s signed counts no more where no witness had seen it before', async (id, expected) => {
    const bundle = await bundled(served());
    const at = revoked(id, SEEN_MS);
    expect(codes(bundle, at, 1).filter((code) => code !== 'quorum.none')).toEqual(expected);
    expect(found(bundle, at, 1)).toContainEqual(['error', 'signer.revoked']);
  });

  it('is judged from the moment on since when its keys are in other hands', async () => {
    const bundle = await bundled(served());
    const late = { issuedAtMs: AFTER_MS };
    const rosa = (invalidAfterMs: number): Network =>
      fake.next({ revoked: [{ id: 'rosa', reason: 'stolen', invalidAfterMs }], ...late }).network;
    expect(codes(bundle, rosa(SEEN_MS + 1), 1)).toEqual([]);
    await tell();
    const again = await bundled(served());
    expect(codes(again, rosa(SEEN_MS), 1)).toEqual(['signer.revoked']);
  });

  it('is not believed for naming an old version in a backdated entry', async () => {
    // The manifest names version 1 and its entries are dated before, yet nobody saw them before.
    const bundle = await bundled(served(story.lines, AFTER_MS));
    expect(codes(bundle, revoked('rosa', AFTER_MS - MINUTE_MS), 1)).toEqual(['signer.revoked']);
  });

  it('is believed by an early proof, from whoever saw it in time', async () => {
    const late = served(story.lines, AFTER_MS);
    const after = (): Network => revoked('rosa', AFTER_MS - MINUTE_MS);
    const bundle = await bundled(late, fake.network, served());
    const files = filesOf(bundle, {
      statement: (bytes) => digestOf(payloadOf(parseEnvelope(bytes, 'it'))),
      disclosure: () => 'south',
    });
    const read = bundleIn(await readBundle(await writeBundle(files)));
    expect(read.logs.get('dispatcher')?.early.size).toBe(5);
    expect(codes(read, after(), 1)).toEqual([]);
  });

  it.each(['rosa', 'north', 'dispatcher'])(
    'is believed of %s by earlier heads that are served, to an auditor who comes too late',
    async (id) => {
      const late = served(story.lines, AFTER_MS);
      for (const [member, log] of late) {
        const whole = served().get(member)?.checkpoint;
        const entries = encodedLogs(fake, story.lines).get(member) ?? [];
        const cosignedAtMs = START_MS + MINUTE_MS;
        const some = signedLog(fake, member, entries.slice(0, 2), { cosignedAtMs }).checkpoint;
        const alone = signedLog(fake, member, entries.slice(0, 3), {
          cosignedAtMs,
          witnesses: [],
        }).checkpoint;
        if (whole == null || some == null || alone == null) throw new Error('no head');
        // Nor do many that are no use, before the first one that is.
        const junk = Array.from(
          { length: 9 },
          (_, at) =>
            signedLog(fake, member, entries.slice(0, 2), {
              cosignedAtMs: 0,
              signer: 'rosa',
              witnesses: [],
              origin: `o${at}`,
            }).checkpoint,
        );
        log.pastHeads = formatPastHeads([...junk.flatMap((each) => each ?? []), some, alone, whole]);
      }
      const after = revoked(id, AFTER_MS - MINUTE_MS);
      const bundle = await bundled(late, after, new Map(), true);
      const sizes = [...(bundle.logs.get('dispatcher')?.early.values() ?? [])].map(
        (proof) => /\/dispatcher\n(\d+)\n/.exec(Buffer.from(proof).toString())?.[1],
      );
      expect(sizes).toEqual(['2', '2', '5', '5', '5']);
      expect(codes(bundle, after, 1).filter((code) => code !== 'quorum.none')).toEqual([]);
      for (const log of late.values()) delete log.pastHeads;
      const hidden = await bundled(late, after, new Map(), true);
      expect(codes(hidden, after, 1)).toContain('signer.revoked');
    },
  );

  it.each<[string, (bundle: Bundle) => void]>([
    [
      'of another entry',
      ({ logs }) => {
        const early = logs.get('dispatcher')?.early;
        early?.set(0, early.get(1) ?? new Uint8Array());
      },
    ],
    ['of nothing', ({ logs }) => logs.get('dispatcher')?.early.set(0, Buffer.from('nothing'))],
    [
      'of an entry that is not in it',
      ({ logs }) => logs.get('dispatcher')?.early.set(4000, Buffer.from('x')),
    ],
  ])('is not believed by an early proof %s', async (_, change) => {
    const bundle = await bundled(served(story.lines, AFTER_MS), fake.network, served());
    change(bundle);
    expect(codes(bundle, revoked('rosa', AFTER_MS - MINUTE_MS), 1)).toContain('proof.invalid');
  });

  it('without witnesses has the date of a log for it, and no more', async () => {
    await tell(NONE);
    const bundle = await bundled(served());
    const after = revoked('rosa', SEEN_MS);
    expect(found(bundle, after, 1)).toContainEqual(['warning', 'revocation.unproven']);
    expect(verifyBundle(bundle, after, unasked, 1).failed).toBe(false);
    await tell(NONE);
    const again = await bundled(served());
    expect(codes(again, revoked('rosa', START_MS), 1)).toContain('signer.revoked');
  });

  it('is not spared by a version of before there were witnesses', async () => {
    await tell(NONE);
    const bundle = await bundled(served());
    fake.next({ witnessing: WITNESSING, issuedAtMs: SEEN_MS });
    const after = revoked('rosa', AFTER_MS);
    expect(found(bundle, after, 1)).toContainEqual(['error', 'signer.revoked']);
  });
});

describe('with another rule of witnessing since', () => {
  it('counts as it was cosigned, and says what is asked for now', async () => {
    await tell(NONE);
    const bundle = await bundled(served(story.lines, SEEN_MS, {}));
    for (const log of bundle.logs.values()) expect(log.checkpoint.length).toBeGreaterThan(0);
    const bare = new Map([...served()].map(([member, log]) => [member, log]));
    for (const [member, entries] of encodedLogs(fake, story.lines))
      bare.set(member, signedLog(fake, member, entries, { witnesses: [] }));
    const uncosigned = await bundled(bare);
    const strict = fake.next({ witnessing: WITNESSING, issuedAtMs: AFTER_MS }).network;
    expect(new Set(found(uncosigned, strict, 1).map(String))).toEqual(
      new Set(['warning,checkpoint.uncosigned']),
    );
    // Said to be made under the stricter one, it had to meet it.
    expect(found(uncosigned, strict, 2)).toContainEqual(['error', 'checkpoint.uncosigned']);
  });
});

describe('of a log whose key was rotated', () => {
  const next = ed25519();
  const lines = (index = 10): SignedStory['lines'] => {
    const origin = ledgerOrigin(fake.network.id, 'north');
    const [old, now] = [memberIn(fake, 'north').keys.log, next].map((jwk) => {
      const { sign, publicJwk } = signerOf(jwk);
      return { key: logKey(origin, publicJwk), sign };
    });
    if (old === undefined || now === undefined) throw new Error('no keys');
    const rotated: Line = {
      atMs: START_MS + 200_000,
      entry: { ...NO_HOP, type: 'log.rotated', body: rotationBody(index, old, now) },
    };
    return {
      ...story.lines,
      north: [...(story.lines['north'] ?? []), rotated, ...filler(3, START_MS + 210_000)],
    };
  };
  const listed = (): Network => {
    const north = fake.network.members.get('north');
    if (north === undefined) throw new Error('no north');
    const keys = { ...north.keys, log: publicOf(next) };
    return fake.next({ renewed: [{ member: { ...north, keys } }], issuedAtMs: START_MS + 1 }).network;
  };

  it('holds the entry that both keys signed, and verifies', async () => {
    const network = listed();
    const bundle = await bundled(served(lines(), SEEN_MS, { north: { logKey: next } }), network);
    expect([...(bundle.logs.get('north')?.proofs.keys() ?? [])]).toContain(10);
    expect(codes(bundle, network)).toEqual([]);
  });

  it('is not sound under a head of the old key beyond it', async () => {
    const network = listed();
    const right = await bundled(served(lines(), SEEN_MS, { north: { logKey: next } }), network);
    const wrong = served(lines(), SEEN_MS).get('north')?.checkpoint;
    const log = right.logs.get('north');
    if (log === undefined || wrong == null) throw new Error('no log');
    const head = Buffer.from(log.checkpoint).toString();
    const swapped = (bytes: Uint8Array): Uint8Array =>
      Buffer.from(Buffer.from(bytes).toString().replace(head, Buffer.from(wrong).toString()));
    log.checkpoint = wrong;
    for (const [index, bytes] of log.proofs) log.proofs.set(index, swapped(bytes));
    expect(codes(right, network)).toContain('log.rotation');
    expect(found(right, network)).toContainEqual(['error', 'log.rotation']);
  });
});

describe('as a file', () => {
  const write = async (bundle: Bundle): Promise<string> => {
    const file = join(home, `bundle-${made++}.tar`);
    const files = filesOf(bundle, {
      statement: (bytes) => digestOf(payloadOf(parseEnvelope(bytes, 'it'))),
      disclosure: () => 'south',
    });
    writeFileSync(file, await writeBundle(files));
    return file;
  };
  const networkFile = (files: FakeNetwork['files']): string => {
    const file = join(home, `network-${made++}.json`);
    writeFileSync(file, encodeNetworkFile(files));
    return file;
  };
  const verify = (file: string, ...more: string[]) => {
    const ran = desk.pht([
      'audit',
      'verify',
      '--bundle',
      file,
      '--network-id',
      fake.network.id,
      '--json',
      ...more,
    ]);
    const findings = findingsIn(ran.stdout);
    return { status: ran.status, findings, stdout: ran.stdout };
  };
  const findingsIn = (text: string): FindingCode[] => {
    if (text.trim() === '') return [];
    const { findings = [] } = JSON.parse(text) as { findings?: { code: FindingCode }[] };
    return [...new Set(findings.map(({ code }) => code))];
  };

  it('verifies by itself, and with a newer network file by that', async () => {
    const file = await write(await bundled(served()));
    expect(verify(file)).toMatchObject({ status: 0, findings: [] });
    const { files } = fake.next({ revoked: [{ id: 'rosa', reason: 'x' }], issuedAtMs: SEEN_MS + 1000 });
    expect(verify(file, '--network', networkFile(files))).toMatchObject({ status: 0, findings: [] });
  });

  it('is not sound by a newer network file that revoked a signer before', async () => {
    const file = await write(await bundled(served()));
    const { files } = fake.next({ revoked: [{ id: 'rosa', reason: 'x' }], issuedAtMs: START_MS });
    expect(verify(file, '--network', networkFile(files))).toMatchObject({
      status: 4,
      findings: ['signer.revoked'],
    });
  });

  /** Another list of version 2 than the authority's next one. */
  const forkOf = (id: string): FakeNetwork['files'] => {
    const { network, roles } = fake;
    const issue = { networkId: network.id, rootVersion: 1, issuer: 'authority' };
    const when = { issuedAtMs: AFTER_MS, expiresMs: AFTER_MS + 86_400_000 };
    const list = nextList(network, { revoked: [{ id, reason: 'x' }] }, AFTER_MS);
    const previousDigest = network.digest;
    const members = signMembers(list, { ...issue, ...when, previousDigest }, [signerOf(roles.members)]);
    const newest = { version: 2, digest: members.digest };
    const freshness = signFreshness(newest, { ...issue, ...when }, [signerOf(roles.freshness)]).envelope;
    return { ...fake.files, members: members.envelope, freshness };
  };

  it('is not sound with a network file that tells another past than the newer one', async () => {
    const bundle = await bundled(served());
    const file = await write({ ...bundle, network: Buffer.from(encodeNetworkFile(forkOf('adam'))) });
    const other = networkFile(forkOf('rosa'));
    expect(verify(file)).toMatchObject({ status: 0 });
    expect(verify(file, '--network', other)).toMatchObject({ status: 4, findings: ['network.forked'] });
  });

  it('is not read with a network file that was doctored', async () => {
    const bundle = await bundled(served());
    const { members } = fake.files;
    const payload = Buffer.from(members.payload, 'base64').toString().replace('"quorum":2', '"quorum":3');
    const files = {
      ...fake.files,
      members: { ...members, payload: Buffer.from(payload).toString('base64') },
    };
    const inside = verify(await write({ ...bundle, network: Buffer.from(encodeNetworkFile(files)) }));
    expect([inside.status, inside.stdout]).toEqual([4, expect.stringContaining('signature.invalid')]);
    const beside = verify(await write(bundle), '--network', networkFile(files));
    expect([beside.status, beside.stdout]).toEqual([4, expect.stringContaining('signature.invalid')]);
  });

  it('takes --network for nothing else', () => {
    const ran = desk.pht(['--home', home, 'audit', 'verify', '--network', 'x.json']);
    expect([ran.status, ran.stderr]).toEqual([2, expect.stringContaining('--network goes with --bundle')]);
  });
});
