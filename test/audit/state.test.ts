import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bindState, type StateKey } from '../../src/cli/audit-resume.ts';
import { auditDir, type Memory, readMemory, writeMemory } from '../../src/cli/audit-state.ts';
import { type AuditReport, audit } from '../../src/journey/auditor/audit.ts';
import type { Network } from '../../src/model/network.ts';
import { ed25519, type FakeNetwork, makeNetwork, publicOf } from '../fakes/network.ts';
import {
  AFTER_MS,
  filler,
  honestLines,
  type Lines,
  START_MS,
  serve,
  servedSource,
  WITNESSING,
} from './story.ts';

/** What an auditor remembers of the network, and of the logs as they were under each version of it. */

let home: string;
let fake: FakeNetwork;
const key: StateKey = { id: 'f'.repeat(64), secret: Buffer.alloc(32, 1) };

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'audit-state-'));
  mkdirSync(auditDir(home));
  fake = await makeNetwork({ admins: { adam: 'south' }, witnessing: WITNESSING, nowMs: START_MS });
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const grown = (count: number): Lines => ({
  ...honestLines(),
  north: [...(honestLines()['north'] ?? []), ...filler(count)],
});

async function auditedOnce(network: Network, lines: Lines): Promise<{ memory: Memory; report: AuditReport }> {
  const memory = readMemory(home, network, key);
  const report = await audit(
    { source: servedSource(serve(fake, lines)), archive: null, progress: () => undefined },
    { ...{ network, anchors: memory.anchors, seen: memory.seen, nowMs: AFTER_MS }, before: memory.findings },
  );
  if (memory.checkpoints !== null) writeMemory(home, network, { memory, report, key });
  return { memory, report };
}

const stateFile = (): string => join(auditDir(home), 'state.json');
const found = ({ report }: { report: AuditReport }): [string, string][] =>
  report.findings.map(({ severity, code }) => [severity, code]);
const sizes = (memory: Memory): number[] => (memory.seen.get('north') ?? []).map(({ size }) => size);

describe('the network that an audit used', () => {
  it('is remembered, and an older file is a finding', async () => {
    const first = fake.network;
    const { network: second } = fake.next({ issuedAtMs: START_MS + 1 });
    expect(found(await auditedOnce(second, grown(0)))).toEqual([]);
    expect(readMemory(home, second, key).network).toEqual({ version: 2, digest: second.digest });
    const again = await auditedOnce(first, grown(0));
    expect(found(again)).toEqual([['error', 'network.rolled-back']]);
    // It does not forget what it saw for having been shown something older.
    expect(readMemory(home, second, key).network?.version).toBe(2);
    expect(found(await auditedOnce(second, grown(0)))).toEqual([]);
  });

  it('and another list of the same version convicts the authority', async () => {
    await auditedOnce(fake.network, grown(0));
    const forked = { ...fake.network, digest: 'e'.repeat(64) as Network['digest'] };
    expect(found(await auditedOnce(forked, grown(0)))).toEqual([['misconduct', 'network.forked']]);
  });

  it('is bound like the rest: whoever alters it is found out', async () => {
    await auditedOnce(fake.network, grown(0));
    const text = readFileSync(stateFile(), 'utf8');
    const state = JSON.parse(text) as { network: { version: number; digest: string } };
    for (const network of [{ ...state.network, digest: 'e'.repeat(64) }, undefined]) {
      writeFileSync(stateFile(), JSON.stringify({ ...state, network }));
      const memory = readMemory(home, { ...fake.network, version: 1 }, key);
      expect(memory.findings.map(({ code }) => code)).toContain('state.damaged');
    }
    writeFileSync(stateFile(), text);
    expect(readMemory(home, fake.network, key).findings).toEqual([]);
  });

  it('is not in a file of before, which is read all the same', async () => {
    await auditedOnce(fake.network, grown(0));
    const { networkId, logs } = JSON.parse(readFileSync(stateFile(), 'utf8')) as {
      networkId: string;
      logs: Record<string, string>;
    };
    writeFileSync(
      stateFile(),
      JSON.stringify({ v: 2, networkId, logs, ...bindState({ networkId, logs }, key) }),
    );
    const memory = readMemory(home, fake.network, key);
    expect([memory.findings, memory.network, sizes(memory)]).toEqual([[], null, [10]]);
  });
});

describe('heads that were the newest under an earlier version', () => {
  it('are kept once the version changes, and those between are not', async () => {
    await auditedOnce(fake.network, grown(0));
    await auditedOnce(fake.network, grown(1));
    expect(sizes(readMemory(home, fake.network, key))).toEqual([11]);
    const { network } = fake.next({ issuedAtMs: START_MS + 1 });
    await auditedOnce(network, grown(2));
    expect(sizes(readMemory(home, network, key))).toEqual([11, 12]);
    await auditedOnce(network, grown(3));
    expect(sizes(readMemory(home, network, key))).toEqual([11, 13]);
  });

  it('are those of a log whose key was rotated or whose member has left, too', async () => {
    await auditedOnce(fake.network, grown(0));
    const north = fake.network.members.get('north');
    if (north === undefined) throw new Error('no north');
    const keys = { ...north.keys, log: publicOf(ed25519()) };
    const rotated = fake.next({
      renewed: [{ member: { ...north, keys } }],
      issuedAtMs: START_MS + 1,
    }).network;
    expect(readMemory(home, rotated, key).anchors.get('north')?.size).toBe(10);
    const change = { revoked: [{ id: 'north', reason: 'x' }], witnessing: { quorum: 'none' } as const };
    const left = fake.next({ ...change, issuedAtMs: AFTER_MS }).network;
    const memory = readMemory(home, left, key);
    expect([memory.findings, sizes(memory)]).toEqual([[], [10]]);
  });
});
