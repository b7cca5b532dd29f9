import { createPublicKey, X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { makeNetwork, memberIn, publicOf } from '../../../test/fakes/network.ts';
import { memberUri } from '../../model/member-certificate.ts';
import { createAuthority, issueCertificate, pemOf, privateKeyPem } from './certificates.ts';
import { memberBehind, mismatchOf } from './identity.ts';

const fake = await makeNetwork({ stations: ['north', 'south'] });
const north = memberIn(fake, 'north');
const certificate = new X509Certificate(north.tls.certificatePem);
const authority = new X509Certificate(north.tls.authorityPem);
const nowMs = Date.now();

test('a member certificate is signed by the authority and names exactly one member', () => {
  expect(certificate.verify(authority.publicKey)).toBe(true);
  expect(certificate.checkIssued(authority)).toBe(true);
  expect(certificate.subjectAltName).toBe(`URI:pht://${fake.network.id}/north`);
  expect(certificate.ca).toBe(false);
  expect(authority.ca).toBe(true);
  expect(certificate.publicKey.asymmetricKeyType).toBe('ed25519');
  // serverAuth and clientAuth
  expect([...(certificate.keyUsage ?? [])].sort()).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
});

test('dates are those that were asked for, and a long title is cut to what X.509 allows', async () => {
  const { certificate: _unused, keys } = fake.authority;
  const notBeforeMs = Date.UTC(2026, 0, 2);
  const notAfterMs = Date.UTC(2027, 4, 6);
  const der = await createAuthority({ title: 'ä'.repeat(200), keys, notBeforeMs, notAfterMs });
  const made = new X509Certificate(pemOf(der));
  expect(made.validFromDate.getTime()).toBe(notBeforeMs);
  expect(made.validToDate.getTime()).toBe(notAfterMs);
  expect(made.subject).toBe(`CN=${'ä'.repeat(64)}`);
  const issued = await issueCertificate({
    authority: { certificate: der, keys },
    networkId: fake.network.id,
    memberId: 'x',
    publicJwk: publicOf(north.keys.tls),
    notBeforeMs,
    notAfterMs,
  });
  expect(new X509Certificate(Buffer.from(issued, 'base64')).issuer).toBe(made.subject);
});

test('the private key in PEM is the private half of the certificate', () => {
  const pem = privateKeyPem(north.keys.tls);
  expect(createPublicKey(pem).export({ format: 'jwk' })).toMatchObject({ x: north.keys.tls.x });
  expect(certificate.publicKey.equals(createPublicKey(pem))).toBe(true);
});

test('a certificate is a member only with this name, this key, this network and in time', async () => {
  expect(memberBehind(certificate.raw, fake.network, nowMs)).toMatchObject({ id: 'north', role: 'station' });
  const forbidden = expect.objectContaining({ code: 'forbidden' });
  expect(() => memberBehind(certificate.raw, fake.without('north').network, nowMs)).toThrow(forbidden);
  expect(() => memberBehind(certificate.raw, fake.network, certificate.validToDate.getTime() + 1)).toThrow(
    forbidden,
  );
  const issue = async (networkId: string, memberId: string, key = north.keys.tls) => {
    const validity = { notBeforeMs: nowMs - 1000, notAfterMs: nowMs + 86_400_000 };
    const publicJwk = publicOf(key);
    const der = await issueCertificate({
      authority: fake.authority,
      networkId,
      memberId,
      publicJwk,
      ...validity,
    });
    return Buffer.from(der, 'base64');
  };
  const { id } = fake.network;
  expect(memberBehind(await issue(id, 'north'), fake.network, nowMs).id).toBe('north');
  for (const [networkId, memberId] of [
    ['0'.repeat(64), 'north'],
    [id, 'south'],
    [id, 'nobody'],
    [id, 'north/x'],
    [id, ''],
    [id, '__proto__'],
  ] as const) {
    const presented = await issue(networkId, memberId);
    expect(() => memberBehind(presented, fake.network, nowMs)).toThrow(forbidden);
  }
});

test('a client accepts one server: this member with this key', () => {
  const publicJwk = publicOf(north.keys.tls);
  const expected = { networkId: fake.network.id, memberId: 'north', publicJwk };
  expect(mismatchOf(certificate.raw, expected)).toBeUndefined();
  expect(mismatchOf(certificate.raw, { ...expected, memberId: 'south' })?.message).toMatch(/not south/);
  const otherKey = publicOf(memberIn(fake, 'south').keys.tls);
  expect(mismatchOf(certificate.raw, { ...expected, publicJwk: otherKey })?.message).toMatch(/another key/);
  expect(memberUri('n', 'm')).toBe('pht://n/m');
});
