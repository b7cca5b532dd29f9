import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadKey, storeKey } from '../../src/adapters/home/keys.ts';
import { openHome } from '../../src/adapters/home/member.ts';
import { readNetworkFile } from '../../src/adapters/home/network-file.ts';
import { createSigner } from '../../src/adapters/signer/ed25519.ts';
import { createRequest } from '../../src/adapters/wire/certificates.ts';
import { freshen } from '../../src/cli/network-freshen.ts';
import { rotateKeys } from '../../src/cli/network-rotate-keys.ts';
import { tellTimer } from '../../src/cli/network-timer.ts';
import { encodeEnvelope, parseEnvelope, payloadOf } from '../../src/model/dsse.ts';
import { memberOf, signerOf } from '../../src/model/network.ts';
import { Enrolment } from '../../src/model/network-statements.ts';
import { readStatement, signStatement } from '../../src/model/statement.ts';
import { ed25519 } from '../fakes/network.ts';
import { codeOf, DAY_MS, openRig, type Rig } from './rig.ts';

const NOW = Date.UTC(2026, 0, 15);
const NEVER = (): Promise<string> => Promise.reject(new Error('asked for a passphrase'));
let rig: Rig;
beforeEach(async () => {
  rig = openRig(NOW);
  await rig.found();
});
afterEach(() => rig.close());

/** An enrolment of that member with something else in it, signed by itself again. */
async function reEnrol(id: string, change: Partial<Enrolment>, file = `${id}.json`): Promise<string> {
  const envelope = parseEnvelope(readFileSync(rig.at(id, 'enrolment.json')), id);
  const { predicate, subject } = readStatement('enrolment', Enrolment, payloadOf(envelope));
  const signer = createSigner(await loadKey(rig.at(id), 'statement', NEVER));
  const changed = JSON.parse(JSON.stringify({ ...predicate, ...change })) as object;
  const signed = signStatement('enrolment', { name: 'network', digest: subject }, changed, signer).envelope;
  writeFileSync(rig.at(file), encodeEnvelope(signed));
  return file;
}

describe('admitting', () => {
  test('takes a proof of the TLS key that is enrolled', async () => {
    await rig.enrol('ana', 'researcher');
    const id = rig.network().id;
    const own = await loadKey(rig.at('ana'), 'tls', NEVER);
    const requests = [
      undefined,
      'AAAA',
      await createRequest(id, 'ana', ed25519()),
      await createRequest(id, 'eve', own),
      await createRequest('f'.repeat(64), 'ana', own),
    ];
    for (const tlsRequest of requests) {
      const file = await reEnrol('ana', { tlsRequest });
      expect(await codeOf(() => rig.admit([file]))).toBe('certificate.invalid');
    }
    // A proof whose signature was changed.
    const sound = Buffer.from(await createRequest(id, 'ana', own), 'base64');
    sound[sound.byteLength - 1] = (sound[sound.byteLength - 1] ?? 0) ^ 1;
    const forged = await reEnrol('ana', { tlsRequest: sound.toString('base64') });
    expect(await codeOf(() => rig.admit([forged]))).toBe('certificate.invalid');
    expect(rig.network().version).toBe(1);
    await rig.admit(['ana']);
    expect(rig.network().certificates.has('ana')).toBe(true);
  });

  test('takes the keys of the role, no key of another, and none for another network', async () => {
    await rig.enrol('ana', 'researcher');
    await rig.enrol('ber', 'station');
    const { keys } = readStatement(
      'enrolment',
      Enrolment,
      payloadOf(parseEnvelope(readFileSync(rig.at('ana', 'enrolment.json')), 'it')),
    ).predicate;
    const { encryption: _none, ...fewer } = keys;
    expect(await codeOf(async () => rig.admit([await reEnrol('ana', { keys: fewer })]))).toBe(
      'network.invalid',
    );
    expect(await codeOf(async () => rig.admit([await reEnrol('ana', { networkId: 'a'.repeat(64) })]))).toBe(
      'network.mismatch',
    );
    await rig.admit(['ana', 'ber']);
    const stolen = { ...keys, statement: (await keysOf('ber')).statement };
    await rig.enrol('eve', 'researcher');
    expect(await codeOf(async () => rig.admit([await reEnrol('eve', { keys: stolen })]))).toBe(
      'signature.invalid',
    );
    const mixed = { ...(await keysOf('eve')), encryption: keys.encryption };
    expect(await codeOf(async () => rig.admit([await reEnrol('eve', { keys: mixed })]))).toBe('conflict');
    expect(await codeOf(() => rig.admit(['eve', 'eve']))).toBe('conflict');
    expect(rig.network().version).toBe(2);
  });

  const keysOf = async (id: string): Promise<Enrolment['keys']> =>
    readStatement(
      'enrolment',
      Enrolment,
      payloadOf(parseEnvelope(readFileSync(rig.at(id, 'enrolment.json')), id)),
    ).predicate.keys;

  test('takes no name that looks like another, unless the person has looked', async () => {
    await rig.enrol('ana', 'researcher', { title: 'Ana Sol' });
    await rig.enrol('ana2', 'researcher', { title: '\u0410na Sol' });
    await rig.admit(['ana']);
    expect(await codeOf(() => rig.admit(['ana2']))).toBe('conflict');
    await rig.admit(['ana2'], { acceptLookAlike: true });
    expect(rig.network().members.has('ana2')).toBe(true);
  });

  test('keeps the person behind a member', async () => {
    await rig.enrol('ber', 'station');
    await rig.enrol('jan', 'admin', { station: 'ber', person: 'jansen' });
    await rig.admit(['ber', 'jan']);
    expect(memberOf(rig.network(), 'jan', 'admin').person).toBe('jansen');
  });
});

describe('revoking', () => {
  beforeEach(async () => {
    await rig.enrol('hub', 'dispatcher');
    await rig.enrol('ana', 'researcher');
    for (const id of ['one', 'two', 'three']) await rig.enrol(id, 'station');
    await rig.enrol('jan', 'admin', { station: 'one' });
    await rig.admit(['hub', 'ana', 'one', 'two', 'three', 'jan']);
    rig.nowMs += DAY_MS;
  });

  test('ends a membership, and says why, since when, and what counts still', async () => {
    await rig.revoke('ana', { reason: 'lost her laptop', compromisedSince: '2026-01-15' });
    const network = rig.network();
    expect(network.members.has('ana')).toBe(false);
    expect(network.certificates.has('ana')).toBe(false);
    const ended = network.spans.find(({ id }) => id === 'ana')?.ended;
    expect(ended).toStrictEqual({
      ...{ version: 3, atMs: NOW + DAY_MS, why: 'revoked', reason: 'lost her laptop', invalidAfterMs: NOW },
    });
    expect(network.freshness.version).toBe(3);
    const by = { networkId: network.id, networkVersion: 2, issuer: 'ana' };
    expect(await codeOf(() => signerOf(network, by, 'researcher', null))).toBe('signer.revoked');
    expect(await codeOf(() => signerOf(network, by, 'researcher', NOW))).toBe('signer.revoked');
    expect(await codeOf(() => signerOf(network, by, 'researcher', NOW - 1))).toBe('accepted');
  });

  test('takes the admins of a station with it, and its place among the witnesses', async () => {
    expect(rig.network().witnessing).toMatchObject({ quorum: 3, faulty: 1 });
    await rig.revoke('one');
    expect(rig.told['revoked']).toStrictEqual(['one', 'jan']);
    expect(rig.network().witnessing).toMatchObject({ quorum: 2, witnesses: ['hub', 'two', 'three'] });
  });

  test('is refused for the authority itself, a stranger, a future day and an empty reason', async () => {
    expect(await codeOf(() => rig.revoke('authority'))).toBe('usage.invalid');
    expect(await codeOf(() => rig.revoke('eve'))).toBe('signer.unknown');
    expect(await codeOf(() => rig.revoke('ana', { compromisedSince: '2027-01-01' }))).toBe('usage.invalid');
    expect(await codeOf(() => rig.revoke('ana', { compromisedSince: 'yesterday' }))).toBe('usage.invalid');
    // No such day, and not the one that Date.parse would make of it.
    expect(await codeOf(() => rig.revoke('ana', { compromisedSince: '2025-02-31' }))).toBe('usage.invalid');
    expect(await codeOf(() => rig.revoke('ana', { reason: '' }))).toBe('usage.invalid');
    expect(await codeOf(() => rig.revoke('ana', { reason: 'a\u202eb' }))).toBe('usage.invalid');
    expect(rig.network().version).toBe(2);
  });

  test('leaves the id free for the same person with new keys, and never for the old ones', async () => {
    await rig.revoke('ana');
    expect(await codeOf(() => rig.admit(['ana']))).toBe('conflict');
    await rig.enrol('ana-again', 'researcher');
    const { keys } = JSON.parse(
      Buffer.from(
        payloadOf(parseEnvelope(readFileSync(rig.at('ana-again', 'enrolment.json')), 'it')),
      ).toString(),
    ).predicate as Enrolment;
    const tls = await loadKey(rig.at('ana-again'), 'tls', NEVER);
    const tlsRequest = await createRequest(rig.network().id, 'ana', tls);
    await rig.admit([await reEnrol('ana-again', { member: 'ana', keys, tlsRequest })]);
    expect(memberOf(rig.network(), 'ana', 'researcher').keys.statement).toEqual(keys.statement);
    expect(rig.network().version).toBe(4);
  });
});

describe('freshening', () => {
  const notAfterMs = (id: string): number => {
    const { certificates } = readNetworkFile(rig.at('net', 'network.json'));
    return new Date(certificateOf(certificates[id] ?? '').validTo).getTime();
  };
  beforeEach(async () => {
    await rig.enrol('ana', 'researcher');
    await rig.admit(['ana']);
  });

  test('moves forward, whatever the clock did, and renews what is in the last third of its life', async () => {
    const first = notAfterMs('ana');
    const { digest } = rig.network();
    rig.nowMs += 59 * DAY_MS;
    await rig.freshen();
    expect(notAfterMs('ana')).toBe(first);
    rig.nowMs += 2 * DAY_MS;
    await rig.freshen();
    expect(rig.told['certificates']).toStrictEqual(['authority', 'ana']);
    expect(notAfterMs('ana')).toBe(first + 61 * DAY_MS);
    const { freshness, digest: after } = rig.network();
    expect(after).toBe(digest);
    expect(freshness).toMatchObject({ version: 2, issuedAtMs: rig.nowMs });
    await rig.freshen();
    expect(rig.network().freshness.issuedAtMs).toBe(rig.nowMs + 1);
    rig.nowMs -= DAY_MS;
    expect(await codeOf(() => rig.freshen())).toBe('clock.untrusted');
  });

  test('says what it cannot renew, and writes the file elsewhere too', async () => {
    const ends = () => rig.warnings.filter((line) => line.includes(' ends on '));
    expect(ends()).toStrictEqual([]);
    rig.nowMs += 320 * DAY_MS;
    await freshen(rig.frame('net'), { certificateDays: '90', to: rig.at('given.json') });
    expect(rig.warnings.slice(-1)).toStrictEqual([
      `the list of members ends on 2027-01-15: renew it with pht --home ${rig.at('net')} network admit --renew`,
    ]);
    expect(readFileSync(rig.at('given.json'))).toEqual(readFileSync(rig.at('net', 'network.json')));
    // What it names does it.
    await rig.admit([], { renew: true });
    rig.nowMs += 280 * DAY_MS;
    await rig.freshen();
    expect(ends()).toHaveLength(1);
    rig.nowMs = NOW + 1824 * DAY_MS;
    await rig.freshen();
    expect(rig.warnings.at(-1)).toBe(
      `the root ends on 2031-01-14: renew it with pht --home ${rig.at('net')} network rotate root`,
    );
    await rig.rotate('root');
    await rig.admit([], { renew: true });
    const before = ends().length;
    await rig.freshen();
    expect(ends()).toHaveLength(before);
  });

  test('prints units for a timer', async () => {
    tellTimer(rig.frame('net'));
    const units = rig.told['units'] as Record<string, string>;
    expect(units['signalbox-freshen.service']).toContain(
      `--home "${rig.at('net')}" network freshen --give-out`,
    );
    expect(units['signalbox-freshen.service']).toContain('NoNewPrivileges=yes');
    expect(units['signalbox-freshen.timer']).toContain('RandomizedDelaySec=');
    expect(await codeOf(() => tellTimer(rig.frame('ana')))).toBe('usage.invalid');
    await rig.found({}, 'a $HOME of 100%');
    tellTimer(rig.frame('a $HOME of 100%'));
    const { 'signalbox-freshen.service': odd } = rig.told['units'] as Record<string, string>;
    expect(odd).toContain(`--home "${rig.at('a $$HOME of 100%%')}" network`);
    expect(odd).toContain(`ReadWritePaths="${rig.at('a $HOME of 100%%')}"`);
  });
});

describe('new keys of a member', () => {
  const renewal = (): string => 'ber/renewal.json';
  const rotate = (use?: string): Promise<string> =>
    codeOf(() => rotateKeys(rig.frame('ber'), use === undefined ? {} : { use }));
  beforeEach(async () => {
    await rig.enrol('ber', 'station');
    await rig.admit(['ber']);
    rig.import('ber');
    rig.nowMs += DAY_MS;
  });

  test('are listed beside the past of the old, and move into place with the list', async () => {
    const before = memberOf(rig.network(), 'ber', 'station').keys;
    expect(await rotate('statement,tls,log,witness,encryption')).toBe('accepted');
    expect(rig.network('ber').members.get('ber')?.keys).toEqual(before);
    expect(await codeOf(() => rig.admit([renewal()]))).toBe('accepted');
    expect((await loadKey(rig.at('ber'), 'statement', NEVER)).x).toBe(before.statement.x);
    const next = rig.import('ber');
    const now = memberOf(next, 'ber', 'station').keys;
    for (const use of ['statement', 'tls', 'log', 'witness', 'encryption'] as const) {
      expect(now[use]?.x).not.toBe(before[use]?.x);
      expect((await loadKey(rig.at('ber'), use, NEVER)).x).toBe(now[use]?.x);
    }
    // What was signed before stays what it was.
    const by = { networkId: next.id, networkVersion: 2, issuer: 'ber' };
    expect(signerOf(next, by, 'station').keys.statement).toEqual(before.statement);
    const { ownCertificate } = await import('../../src/adapters/home/certificate.ts');
    expect(ownCertificate(openHome(rig.at('ber')), next, rig.nowMs).dueForRenewal).toBe(false);
    expect(await codeOf(() => rig.admit([renewal()]))).toBe('accepted');
    expect(rig.network().version).toBe(3);
  });

  test('old renewals do not come back', async () => {
    await rotate('statement');
    const lost = readFileSync(rig.at(renewal()));
    expect(rig.warnings.join()).not.toContain('must not be admitted');
    await rotate('statement');
    expect(rig.warnings.join()).toContain('a renewal.json of before must not be admitted any more');
    await rig.admit([renewal()]);
    rig.import('ber');
    writeFileSync(rig.at('lost.json'), lost);
    expect(await codeOf(() => rig.admit(['lost.json']))).toBe('signature.invalid');
    const used = readFileSync(rig.at(renewal()));
    await rotate('statement');
    await rig.admit([renewal()]);
    writeFileSync(rig.at('lost.json'), used);
    expect(await codeOf(() => rig.admit(['lost.json']))).toBe('signature.invalid');
    expect(rig.network().version).toBe(4);
  });

  test('are signed by the key of now and by the new one, and proved for TLS', async () => {
    await rotate('statement,tls');
    const envelope = parseEnvelope(readFileSync(rig.at(renewal())), 'it');
    for (const signatures of [envelope.signatures.slice(0, 1), envelope.signatures.slice(1)]) {
      writeFileSync(rig.at('half.json'), encodeEnvelope({ ...envelope, signatures }));
      expect(await codeOf(() => rig.admit(['half.json']))).toBe('signature.invalid');
    }
    const { predicate } = JSON.parse(Buffer.from(payloadOf(envelope)).toString()) as {
      predicate: Record<string, unknown>;
    };
    const old = createSigner(await loadKey(rig.at('ber'), 'statement', NEVER));
    const { loadNextKey } = await import('../../src/adapters/home/key-rotation.ts');
    const { cosignStatement } = await import('../../src/model/statement.ts');
    const next = createSigner(await loadNextKey({ dir: rig.at('ber') }, 'statement', NEVER));
    const signed = (change: object): string => {
      const subject = { name: 'network', digest: rig.network().id };
      const one = signStatement('renewal', subject, { ...predicate, ...change }, old).envelope;
      writeFileSync(rig.at('made.json'), encodeEnvelope(cosignStatement(one, next)));
      return 'made.json';
    };
    const { tlsRequest: _none, ...without } = predicate;
    const bare = signStatement(
      'renewal',
      { name: 'network', digest: rig.network().id },
      without,
      old,
    ).envelope;
    writeFileSync(rig.at('bare.json'), encodeEnvelope(cosignStatement(bare, next)));
    expect(await codeOf(() => rig.admit(['bare.json']))).toBe('certificate.invalid');
    expect(await codeOf(() => rig.admit([signed({ issuer: 'eve' })]))).toBe('signer.unknown');
    expect(await codeOf(() => rig.admit([signed({ networkId: 'a'.repeat(64) })]))).toBe('network.mismatch');
    expect(await codeOf(() => rig.admit([signed({ extra: 1 })]))).toBe('statement.malformed');
    const log = [...rig.network().members.values()].find(({ id }) => id !== 'ber')?.keys.statement;
    const keys = { ...(predicate['keys'] as object), log };
    expect(await codeOf(() => rig.admit([signed({ keys })]))).toBe('conflict');
    expect(await codeOf(() => rig.admit([signed({})]))).toBe('accepted');
  });

  test('a key in other hands ends with them', async () => {
    await rotate();
    expect(await codeOf(() => rig.admit(['ber'], { compromisedSince: '2026-01-15' }))).toBe('usage.invalid');
    await rig.admit([renewal()], { compromisedSince: '2026-01-15' });
    const by = { networkId: rig.network().id, networkVersion: 2, issuer: 'ber' };
    expect(await codeOf(() => signerOf(rig.network(), by, 'station', NOW))).toBe('signer.revoked');
  });

  test('an unknown use and a stranger are refused', async () => {
    for (const use of ['king', 'tls,tls', '']) expect(await rotate(use)).toBe('usage.invalid');
    await rig.enrol('eve', 'researcher');
    expect(await codeOf(() => rotateKeys(rig.frame('eve'), {}))).toBe('signer.unknown');
  });

  test('the signer of a process at work follows the list', async () => {
    const { listedSigner } = await import('../../src/cli/listed-signer.ts');
    const home = openHome(rig.at('ber'));
    const signer = await listedSigner(home, 'statement', () => rig.network('ber'));
    const before = signer.publicJwk.x;
    await rotate();
    await rig.admit([renewal()]);
    expect(signer.publicJwk.x).toBe(before);
    await signer.prepare();
    rig.import('ber');
    expect(signer.publicJwk.x).toBe(memberOf(rig.network(), 'ber', 'station').keys.statement.x);
    expect(signer.publicJwk.x).not.toBe(before);
  });
});

test("the authority's own keys are replaced the same way", async () => {
  await rotateKeys(rig.frame('net'), {});
  await rig.admit(['net/renewal.json']);
  const listed = memberOf(rig.network(), 'authority', 'authority').keys;
  expect((await loadKey(rig.at('net'), 'tls', NEVER)).x).toBe(listed.tls?.x);
  await storeKey(rig.at('net'), 'tls', ed25519(), null);
  const { tlsOf } = await import('../../src/cli/dial.ts');
  expect(await codeOf(() => tlsOf(openHome(rig.at('net')), rig.network()))).toBe('certificate.invalid');
});

function certificateOf(text: string): { validTo: string } {
  const { X509Certificate } = process.getBuiltinModule('node:crypto');
  return new X509Certificate(Buffer.from(text, 'base64'));
}
