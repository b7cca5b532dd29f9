import { expect } from 'vitest';
import { type OpenedCase, openCase, signClearance, signStanding } from '../../src/journey/admin/case.ts';
import { signWithdrawal } from '../../src/journey/admin/word.ts';
import { type Digest, digestOf } from '../../src/model/id.ts';
import { verifyImageConfig } from '../../src/model/image-config.ts';
import type { Network } from '../../src/model/network.ts';
import type { Manifest, TrainImage } from '../../src/model/train.ts';
import { type Process, type Rig, receiptsOf } from './station.ts';
import { makeOrder, makeTrain } from './trains.ts';
import { adminIn } from './words.ts';

/** What persons sign at the station `north` about one hop, as the command line does it: look, verify, sign. */

const CONTEXT = {} as never;
const NONE = new Uint8Array();

/** Two persons have to approve. */
export const ASK_TWO = `@id("ask-two") @explain("two admins decide") @approvals("2")
permit (principal, action == Action::"RunIfApproved", resource);`;

export type Wanted = Partial<Manifest> & { signedBy?: string; attempt?: number; image?: TrainImage };

/** A hop that has been looked at once. */
export async function tookHop(rig: Rig, station: Process, wanted: Wanted = {}): Promise<string> {
  const { attempt = 1, image = rig.image.image, ...changed } = wanted;
  const nowMs = rig.clock.ms;
  const train = makeTrain(rig.fake, image, nowMs, changed);
  const order = makeOrder(rig.fake, train.digest, nowMs, { attempt, epoch: attempt });
  const hopId = station.accept({ ...order, manifest: train.manifest });
  if (hopId === null) throw new Error('the order was not taken on');
  await station.visit(hopId);
  return hopId;
}

export async function waitingHop(rig: Rig, station: Process, wanted: Wanted = {}): Promise<string> {
  const hopId = await tookHop(rig, station, wanted);
  expect(stateOf(station, hopId)).toBe('awaiting-clearance');
  return hopId;
}

export function stateOf(station: Process, hopId: string): string | undefined {
  return station.store.hops.find(hopId)?.state;
}

export function showOf(station: Process, hopId: string) {
  return station.admin.show({ $typeName: 'pht.v1.ShowRequest', hopId, config: true }, CONTEXT);
}

export async function openedOf(rig: Rig, station: Process, hopId: string, by = 'nora'): Promise<OpenedCase> {
  const { caseFile = NONE, manifest = NONE } = await showOf(station, hopId);
  const { network, nowMs } = adminIn(rig, by);
  return openCase({ caseFile, manifest }, { station: 'north', network, nowMs });
}

export type Decision = { by?: string; verdict?: 'approve' | 'reject'; lifetimeMs?: number };

export async function clearanceOf(
  rig: Rig,
  station: Process,
  hopId: string,
  { by = 'nora', verdict = 'approve', lifetimeMs }: Decision = {},
): Promise<Uint8Array> {
  const opened = await openedOf(rig, station, hopId, by);
  const decision = { verdict, reason: 'ethics 2026-17', ...(lifetimeMs === undefined ? {} : { lifetimeMs }) };
  return signClearance(opened, decision, adminIn(rig, by));
}

export type Standing = {
  by?: string;
  runs?: number;
  days?: number;
  scope?: 'image' | 'code';
  reason?: string;
};

export async function standingOf(
  rig: Rig,
  station: Process,
  hopId: string,
  { by = 'nora', runs = 2, days = 30, scope = 'image', reason = 'ethics 2026-17' }: Standing = {},
): Promise<Uint8Array> {
  const opened = await openedOf(rig, station, hopId, by);
  const { config = NONE } = await showOf(station, hopId);
  const wish = { reason, runsMax: runs, expiresMs: NOW_DAY(rig.clock.ms) + days * 86_400_000 };
  const read = () => ({ config: verifyImageConfig(config, opened.manifest.predicate.image) });
  return signStanding(opened, { ...wish, scope: scope === 'image' ? 'image' : read() }, adminIn(rig, by));
}

/** Two persons who sign in the course of one day name the same end. */
const NOW_DAY = (nowMs: number): number => nowMs - (nowMs % 86_400_000);

export function decideOn(station: Process, hopId: string, clearance: Uint8Array) {
  return station.admin.decide({ $typeName: 'pht.v1.DecideRequest', hopId, clearance }, CONTEXT);
}

export async function approved(rig: Rig, station: Process, hopId: string, decision: Decision = {}) {
  const clearance = await clearanceOf(rig, station, hopId, decision);
  await decideOn(station, hopId, clearance);
  return digestIn(clearance);
}

/** The digest of what an envelope carries. */
export function digestIn(envelope: Uint8Array): Digest {
  const { payload } = JSON.parse(Buffer.from(envelope).toString()) as { payload: string };
  return digestOf(Buffer.from(payload, 'base64'));
}

export function withdrawalOf(rig: Rig, clearanceDigest: string, by = 'nora', station = 'north'): Uint8Array {
  return signWithdrawal({ station, clearanceDigest, reason: 'consent was withdrawn' }, adminIn(rig, by));
}

export function withdrawWith(station: Process, statement: Uint8Array) {
  return station.admin.withdraw({ $typeName: 'pht.v1.WithdrawRequest', statement }, CONTEXT);
}

export async function standingListed(station: Process) {
  const { clearances = [] } = await station.admin.standing({ $typeName: 'pht.v1.StandingRequest' }, CONTEXT);
  return clearances.map(({ state, runsUsed }) => `${state} ${runsUsed}`);
}

export async function inboxOf(station: Process) {
  return (await station.admin.inbox({ $typeName: 'pht.v1.InboxRequest', all: false }, CONTEXT)).entries ?? [];
}

export async function dryRunOf(station: Process, hopId: string) {
  return (await station.admin.dryRun({ $typeName: 'pht.v1.DryRunRequest', hopId }, CONTEXT)).gates ?? [];
}

export async function endOf(rig: Rig, station: Process, hopId: string): Promise<string | undefined> {
  await station.visit(hopId);
  await station.post();
  const [receipt] = receiptsOf(rig, hopId);
  return receipt === undefined ? undefined : `${receipt.outcome} ${receipt.code}`;
}

export const typesOf = (station: Process): string[] => station.entries().map(({ type }) => type);

/** The code of the last refusal that was counted, and of what. */
export function lastCounted(station: Process): string | undefined {
  const entry = station.entries().findLast(({ type }) => type === 'rejects.counted');
  return entry && `${entry.body['what']} ${entry.body['code']}`;
}

/** The same network, in which these members are accounts of these natural persons. */
export function asPersons(network: Network, persons: Readonly<Record<string, string>>): Network {
  const named = <M extends { id: string }>(member: M): M => {
    const person = persons[member.id];
    return person === undefined ? member : { ...member, person };
  };
  return {
    ...network,
    members: new Map([...network.members].map(([id, member]) => [id, named(member)])),
    spans: network.spans.map(named),
  };
}
