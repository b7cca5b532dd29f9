import { caseFile } from '../../model/case-file.ts';
import { parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { verifyOrder } from '../../model/order.ts';
import { disclosureDigest } from '../../model/result/settings.ts';
import { type VerifiedManifest, verifyManifest, verifyWhenIssued } from '../../model/train.ts';
import type { Datasets } from '../../ports/datasets.ts';
import type { Policy } from '../../ports/policy.ts';
import type { HopRecord, HopStore } from '../../ports/station-store.ts';
import type { OpenCase } from './approvals.ts';
import { currentCase } from './case.ts';
import type { Station } from './stages.ts';

/** What a person looks at before deciding, computed anew on every look. */

export type LookPorts = { datasets: Datasets; policy: () => Policy };
export type LookedAt = OpenCase & { bytes: Uint8Array };

/** @throws PhtError `not-found` */
export function hopOf(hopId: string, hops: Pick<HopStore, 'find'>): HopRecord {
  const hop = hops.find(hopId);
  if (hop === null)
    throw new PhtError('not-found', 'there is no such hop at this station', {
      hint: 'pht station inbox --all lists the trains that came here',
    });
  return hop;
}

/** So that nobody approves what is no longer so. */
export async function caseOf(hop: HopRecord, station: Station, ports: LookPorts): Promise<LookedAt> {
  const network = station.network();
  const order = verifyOrder(parseEnvelope(hop.order, 'order'), network, station.id);
  const manifest = verifyManifest(parseEnvelope(hop.manifest, 'manifest'), network, station.clock.nowMs());
  const { snapshotDigest } = await ports.datasets.open(manifest.predicate.dataset);
  const policy = ports.policy();
  const about = { manifest, dispatcher: order.predicate.issuer, snapshotDigest };
  const { bytes, digest, disclosure } = currentCase(about, station, policy);
  return {
    ...{ hop, bytes, digest },
    manifest: manifest.predicate,
    policyDigest: policy.digest,
    disclosureDigest: disclosureDigest(disclosure),
    needed: neededBy(hop),
  };
}

/** As the policy said when it was last asked: the station asks it again before anything runs. */
export function neededBy({ notes }: HopRecord): number {
  return notes.verdict === 'ask' ? Math.max(1, notes.approvalsNeeded ?? 1) : 0;
}

/** Who and why, for looking back: the dataset and the policy of today are not those that it met. */
export function endedCase(hop: HopRecord, station: Station): ReturnType<typeof caseFile> {
  const network = station.network();
  const order = verifyOrder(parseEnvelope(hop.order, 'order'), network, station.id);
  return caseFile({
    station: station.id,
    dispatcher: order.predicate.issuer,
    manifest: whenIssued(hop, station),
    snapshotDigest: '',
    policyDigest: '',
    disclosureDigest: '',
    lists: { researcher: [], image: [] },
    network,
  });
}

export function whenIssued({ manifest }: HopRecord, station: Station): VerifiedManifest {
  return verifyWhenIssued(parseEnvelope(manifest, 'manifest'), station.network());
}
