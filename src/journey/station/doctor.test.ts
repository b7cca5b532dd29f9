import { describe, expect, test } from 'vitest';
import { makeNetwork } from '../../../test/fakes/network.ts';
import type { Network } from '../../model/network.ts';
import {
  aclGrants,
  judgeCertificate,
  judgeClock,
  judgeEngine,
  judgeFreshness,
  judgeNetwork,
  judgeReadable,
  networkProblem,
} from './doctor.ts';

const NOW = Date.UTC(2026, 5, 1, 12);
const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

describe('the clock', () => {
  test.each([
    [null, 'ok'],
    [NOW + 5 * MINUTE_MS, 'ok'],
    [NOW + 5 * MINUTE_MS + 1, 'fail'],
    [NOW - DAY_MS, 'ok'],
  ])('with %s as the highest time seen: %s', (highestMs, level) => {
    expect(judgeClock(NOW, highestMs)).toMatchObject({ level });
  });
});

test('the network file: good, to be renewed soon, expired; and whether we are in it', async () => {
  const { network } = await makeNetwork({ nowMs: NOW });
  const at = (ms: number, member = 'north') => judgeNetwork(network, member, ms).map(({ level }) => level);
  expect(at(NOW)).toEqual(['ok', 'ok']);
  expect(at(network.expiresMs - 6 * DAY_MS)).toEqual(['warn', 'ok']);
  expect(at(network.expiresMs)).toEqual(['fail', 'ok']);
  expect(at(NOW, 'stranger')).toEqual(['ok', 'fail']);
  expect(at(NOW, 'rosa')).toEqual(['ok', 'fail']);
});

test.each([
  [{}, 'ok'],
  [{ dueForRenewal: true }, 'warn'],
  [{ hasKey: false }, 'fail'],
])('a certificate with %j: %s', (facts, level) => {
  const sound = { notAfterMs: NOW + 60 * DAY_MS, dueForRenewal: false, hasKey: true };
  expect(judgeCertificate({ ...sound, ...facts })).toMatchObject({ level });
});

test('the engine: failures fail, risks fail until they are accepted by name, proofs are named', () => {
  const report = {
    engine: 'e',
    runtime: 'r',
    fingerprint: 'f',
    risks: [{ id: 'runc-break-outs', text: 'old runc' }],
    proofs: [{ name: 'user', text: 'runs as asked' }],
    failures: [{ name: 'network', text: 'reached a network' }],
  };
  const levels = (accepted: string[]) =>
    judgeEngine(report, accepted).map(({ check, level }) => `${check} ${level}`);
  expect(levels([])).toEqual([
    'engine ok',
    'sandbox: network fail',
    'risk: runc-break-outs fail',
    'sandbox: user ok',
  ]);
  expect(levels(['runc-break-outs'])[2]).toBe('risk: runc-break-outs warn');
});

test('an unreadable file names file, mode and a fix that opens it to nobody else', () => {
  const fact = {
    dataset: 'cgd',
    path: "/data/o'hara.csv",
    mode: '0600',
    uid: 65534,
    gid: 65534,
    readable: false,
  };
  const finding = judgeReadable(fact);
  expect(finding).toMatchObject({ level: 'fail', code: 'dataset.unreadable' });
  expect(finding.text).toContain("/data/o'hara.csv (mode 0600)");
  const fix = 'fix' in finding ? finding.fix : '';
  expect(fix).toContain(`setfacl -m u:65534:r '/data/o'\\''hara.csv'`);
  expect(fix).not.toMatch(/chmod (777|o|a|\+)/);
  expect(judgeReadable({ ...fact, readable: true }).level).toBe('ok');
});

describe('access lists, as acl(5) reads them', () => {
  const list = (...lines: string[]) => ['user::rw-', ...lines, 'other::---', ''].join('\n');
  test.each([
    ['a named user', list('user:65534:r--', 'group::---', 'mask::r--'), true],
    ['a named user without the right', list('user:65534:---', 'group:65534:r--', 'mask::r--'), false],
    ['a named user under a mask', list('user:65534:r--\t#effective:---', 'group::---', 'mask::---'), false],
    ['another user', list('user:1000:r--', 'group::---', 'mask::r--'), false],
    ['a named group', list('group::---', 'group:65534:r--', 'mask::r--'), true],
    ['nothing', '', false],
  ])('%s', (_name, text, grants) => {
    expect(aclGrants(text, 65534, 65534)).toBe(grants);
  });
});

describe('freshness', () => {
  const HOUR_MS = 3_600_000;
  const network = {
    version: 3,
    expiresMs: NOW + 100 * HOUR_MS,
    freshness: { version: 3, issuedAtMs: NOW, expiresMs: NOW + 48 * HOUR_MS },
  } as Network;

  test.each([
    [NOW + 5 * HOUR_MS, { level: 'ok', text: '5 h old; stale on 2026-06-03 12:00 UTC' }],
    [NOW + 24 * HOUR_MS, { level: 'warn' }],
    [NOW + 48 * HOUR_MS, { level: 'fail', code: 'network.stale' }],
    [NOW + 100 * HOUR_MS, { level: 'warn' }],
  ])('at %i', (nowMs: number, finding: object) => {
    expect(judgeFreshness(network, nowMs)).toMatchObject(finding);
  });

  test('says when the authority has issued a newer list, and what that stops', () => {
    const behind = { ...network, freshness: { ...network.freshness, version: 4 } };
    expect(judgeFreshness(behind, NOW)).toMatchObject({ level: 'fail', code: 'network.behind' });
    expect(networkProblem(behind, NOW)).toContain('no new run and no release');
    expect(networkProblem(network, NOW)).toBe('');
  });
});
