import type { AdminService } from '../../gen/pht/v1/admin_pb.ts';
import { caseFile } from '../../model/case-file.ts';
import { verifyClearance } from '../../model/clearance.ts';
import { encodeEnvelope, parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { verifyOrder } from '../../model/order.ts';
import { disclosureDigest, tighten } from '../../model/result/settings.ts';
import { verifyManifest } from '../../model/train.ts';
import type { Datasets } from '../../ports/datasets.ts';
import type { Policy } from '../../ports/policy.ts';
import type { ClearanceStore, HopRecord, HopStore } from '../../ports/station-store.ts';
import type { Service } from '../../ports/wire.ts';
import type { Station } from './stages.ts';

export type AdminPorts = {
  hops: HopStore;
  clearances: ClearanceStore;
  datasets: Datasets;
  policy: () => Policy;
  connected: () => boolean;
  problem: () => string;
  /** What the train printed, for the admin alone. */
  readLog: (hopId: string) => Promise<Uint8Array>;
  /** Lets the hop look again. */
  decided: (hopId: string) => void;
};

const NEWEST = 200;

/** What an admin asks of the agent over the local socket. The agent cannot sign for the admin: it only verifies. */
export function createAdminService(station: Station, ports: AdminPorts): Service<typeof AdminService> {
  const hopOf = (hopId: string): HopRecord => {
    const hop = ports.hops.find(hopId);
    if (hop === null) throw new PhtError('not-found', 'there is no such hop at this station');
    return hop;
  };
  return {
    status: async () => ({
      station: station.id,
      connected: ports.connected(),
      openHops: ports.hops.list('open').length,
      problem: ports.problem(),
    }),
    inbox: async ({ all }) => {
      const hops = ports.hops.list(all ? { newest: NEWEST } : 'open');
      return { entries: hops.filter((hop) => all || hop.state === 'awaiting-clearance').map(inboxEntry) };
    },
    show: async ({ hopId }) => {
      const hop = hopOf(hopId);
      const { bytes } = await caseOf(hop, station, ports);
      return {
        caseFile: bytes,
        manifest: hop.manifest,
        state: hop.state,
        reasons: hop.notes.reasons ?? [],
        log: await ports.readLog(hopId),
      };
    },
    decide: async ({ hopId, clearance }) => {
      const hop = hopOf(hopId);
      if (hop.state !== 'awaiting-clearance') {
        throw new PhtError('conflict', `the hop does not wait for a decision; it is ${hop.state}`);
      }
      const { digest } = await caseOf(hop, station, ports);
      const nowMs = station.clock.nowMs();
      const verified = verifyClearance(
        parseEnvelope(clearance, 'clearance'),
        station.network(),
        station.id,
        digest,
        nowMs,
      );
      if (verified.predicate.manifestDigest !== hop.manifestDigest) {
        throw new PhtError('clearance.invalid', 'the clearance speaks of another train');
      }
      ports.clearances.record(digest, verified.digest, encodeEnvelope(verified.envelope), nowMs);
      ports.decided(hopId);
      return { state: ports.hops.find(hopId)?.state ?? hop.state };
    },
  };
}

/** Recomputed on every look, so that nobody approves what is no longer so. */
async function caseOf(
  hop: HopRecord,
  station: Station,
  ports: AdminPorts,
): Promise<{ bytes: Uint8Array; digest: ReturnType<typeof caseFile>['digest'] }> {
  const network = station.network();
  const order = verifyOrder(parseEnvelope(hop.order, 'order'), network, station.id);
  const manifest = verifyManifest(parseEnvelope(hop.manifest, 'manifest'), network, station.clock.nowMs());
  const dataset = await ports.datasets.open(manifest.predicate.dataset);
  return caseFile({
    station: station.id,
    dispatcher: order.predicate.issuer,
    manifest,
    snapshotDigest: dataset.snapshotDigest,
    policyDigest: ports.policy().digest,
    disclosureDigest: disclosureDigest(
      tighten(station.disclosure(), manifest.predicate.outputs.minCellCount),
    ),
    network,
  });
}

function inboxEntry(hop: HopRecord) {
  return {
    hopId: hop.hopId,
    trainId: hop.trainId,
    title: hop.notes.title ?? '',
    researcher: hop.notes.researcher ?? '',
    dataset: hop.notes.dataset ?? '',
    state: hop.state,
    outcome: hop.sealed?.outcome ?? '',
    code: hop.sealed?.code ?? '',
    receivedAtMs: BigInt(hop.receivedAtMs),
  };
}
