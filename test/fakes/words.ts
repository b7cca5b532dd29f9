import { createOpener } from '../../src/adapters/envelope/jwe.ts';
import { openCase, signClearance } from '../../src/journey/admin/case.ts';
import { signDisclosureRequest, signErasure } from '../../src/journey/admin/word.ts';
import { type Disclosure, verifyDisclosure } from '../../src/model/disclosure.ts';
import { type Envelope, parseEnvelope } from '../../src/model/dsse.ts';
import { type TrainId, trainIdOf } from '../../src/model/id.ts';
import { type FakeNetwork, memberIn } from './network.ts';
import type { Process, Rig } from './station.ts';
import { makeOrder, makeTrain } from './trains.ts';

/** What persons sign at the station `north`, and what an auditor makes of it. */

const CONTEXT = {} as never;

export type Ran = { hopId: string; trainId: TrainId; pulled: Parameters<Process['accept']>[0] };

/** One hop to its end and delivered; approved by `by` where a person has to decide. */
export async function ranTrain(
  rig: Rig,
  station: Process,
  { by = 'nora', title = 'Hello', attempt = 1 } = {},
): Promise<Ran> {
  const ran = tookTrain(rig, station, { title, attempt });
  if ((await station.visit(ran.hopId)).is === 'waiting') {
    await approve(rig, station, ran.hopId, by);
    await station.visit(ran.hopId);
  }
  await station.post();
  return ran;
}

export function tookTrain(rig: Rig, station: Process, { title = 'Hello', attempt = 1 } = {}): Ran {
  const nowMs = rig.clock.ms;
  const train = makeTrain(rig.fake, rig.image.image, nowMs, { title });
  const pulled = {
    ...makeOrder(rig.fake, train.digest, nowMs, { attempt, epoch: attempt }),
    manifest: train.manifest,
  };
  return { hopId: station.accept(pulled) ?? '', trainId: trainIdOf(train.digest), pulled };
}

export async function approve(rig: Rig, station: Process, hopId: string, by: string): Promise<Uint8Array> {
  const shown = await station.admin.show({ $typeName: 'pht.v1.ShowRequest', hopId, config: false }, CONTEXT);
  const { caseFile = new Uint8Array(), manifest = new Uint8Array() } = shown;
  const admin = adminIn(rig, by);
  const { network, nowMs } = admin;
  const opened = openCase({ caseFile, manifest }, { station: 'north', network, nowMs });
  const clearance = signClearance(opened, { verdict: 'approve', reason: 'ethics 2026-17' }, admin);
  await station.admin.decide({ $typeName: 'pht.v1.DecideRequest', hopId, clearance }, CONTEXT);
  return clearance;
}

export function adminIn(rig: Rig, id: string): Parameters<typeof signErasure>[1] {
  return { id, network: rig.settings.network, signer: memberIn(rig.fake, id).signer, nowMs: rig.clock.ms };
}

export async function disclose(
  rig: Rig,
  station: Process,
  asked: { trainId: TrainId; to?: string; by?: string; station?: string },
): Promise<Uint8Array> {
  const { trainId, to = 'carla', by = 'nora', station: addressed = 'north' } = asked;
  const request = signDisclosureRequest({ station: addressed, trainId, to }, adminIn(rig, by));
  return discloseWith(station, request);
}

export async function discloseWith(station: Process, request: Uint8Array): Promise<Uint8Array> {
  const answer = await station.admin.disclose({ $typeName: 'pht.v1.DiscloseRequest', request }, CONTEXT);
  return answer.jwe ?? new Uint8Array();
}

export async function forget(rig: Rig, station: Process, member: string, by = 'nora') {
  const erasure = signErasure({ station: 'north', member, reason: 'asked for it' }, adminIn(rig, by));
  return forgetWith(station, erasure);
}

export async function forgetWith(station: Process, erasure: Uint8Array) {
  return station.admin.forget({ $typeName: 'pht.v1.ForgetRequest', erasure }, CONTEXT);
}

export async function envelopeFor(fake: FakeNetwork, jwe: Uint8Array, reader = 'carla'): Promise<Envelope> {
  const opened = await createOpener(memberIn(fake, reader).keys.encryption).open(jwe);
  return parseEnvelope(opened, 'disclosure');
}

/** As an auditor reads it. */
export async function readDisclosure(fake: FakeNetwork, jwe: Uint8Array): Promise<Disclosure> {
  return verifyDisclosure(await envelopeFor(fake, jwe), fake.network).predicate;
}
