import type { AdminService } from '../../gen/pht/v1/admin_pb.ts';
import { caseFile } from '../../model/case-file.ts';
import { verifyClearance } from '../../model/clearance.ts';
import { encodeEnvelope, parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { isSealed } from '../../model/hop.ts';
import type { Network } from '../../model/network.ts';
import { verifyOrder } from '../../model/order.ts';
import { verifyManifest, verifyWhenIssued } from '../../model/train.ts';
import type { Datasets } from '../../ports/datasets.ts';
import type { Policy } from '../../ports/policy.ts';
import type { ClearanceStore, HopRecord, HopStore } from '../../ports/station-store.ts';
import type { Service } from '../../ports/wire.ts';
import { currentCase } from './case.ts';
import { decisionProof, type ProofPorts } from './decision-proof.ts';
import { type DisclosePorts, disclose } from './disclose.ts';
import { forget } from './forget.ts';
import type { Station } from './stages.ts';
import { decideTrust, distrusted, knownConflicts, type TrustPorts } from './trust.ts';

export type AdminPorts = DisclosePorts &
  ProofPorts &
  TrustPorts & {
    hops: HopStore;
    clearances: ClearanceStore;
    datasets: Datasets;
    policy: () => Policy;
    connected: () => boolean;
    problem: () => string;
    /** Why the ledger is not signed or published, in words; empty when it is. */
    ledgerProblem: () => string;
    /** What a hop waits for that may pass by itself, in words; empty when it does not. */
    waitsFor: (hopId: string) => string;
    /** What the train printed, for the admin alone. */
    readLog: (hopId: string) => Promise<Uint8Array>;
    /** The ledger has grown without a hop. */
    recorded: () => void;
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
      distrusted: distrusted(ports.witness),
      ledgerProblem: ports.ledgerProblem(),
    }),
    inbox: async ({ all }) => {
      const hops = ports.hops.list(all ? { newest: NEWEST } : 'open');
      const shown = hops.filter(
        (hop) => all || hop.state === 'awaiting-clearance' || ports.waitsFor(hop.hopId) !== '',
      );
      return {
        entries: shown.map((hop) => ({
          ...inboxEntry(hop, station.network()),
          problem: ports.waitsFor(hop.hopId),
        })),
      };
    },
    show: async ({ hopId }) => {
      const hop = hopOf(hopId);
      if (hop.notes.erased) {
        throw new PhtError('not-found', 'what this hop was about was erased; its ledger entries remain');
      }
      if (hop.order.byteLength === 0) {
        throw new PhtError(
          'not-found',
          'what this hop was about was lost with a backup; its ledger entries remain',
        );
      }
      const { bytes } = isSealed(hop.state) ? endedCase(hop, station) : await caseOf(hop, station, ports);
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
    disclose: async ({ request }) => {
      try {
        return await disclose(request, station, ports);
      } finally {
        ports.recorded();
      }
    },
    forget: async ({ erasure }) => {
      const { ledgerSize: _, ...erased } = forget(erasure, station, ports.archive);
      ports.recorded();
      return erased;
    },
    proof: async ({ hopId }) => {
      const hop = hopOf(hopId);
      return { proof: await decisionProof(hop, ports), state: hop.state };
    },
    conflicts: async () => ({ conflicts: knownConflicts(ports.witness) }),
    trust: async ({ statement }) => {
      const answer = decideTrust(statement, station, ports);
      ports.recorded();
      return answer;
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
  const { snapshotDigest } = dataset;
  return currentCase(
    { manifest, dispatcher: order.predicate.issuer, snapshotDigest },
    station,
    ports.policy(),
  );
}

/** Who and why, for looking back: the dataset and the policy of today are not those that it met. */
function endedCase(hop: HopRecord, station: Station): ReturnType<typeof caseFile> {
  const network = station.network();
  const order = verifyOrder(parseEnvelope(hop.order, 'order'), network, station.id);
  return caseFile({
    station: station.id,
    dispatcher: order.predicate.issuer,
    manifest: verifyWhenIssued(parseEnvelope(hop.manifest, 'manifest'), network),
    snapshotDigest: '',
    policyDigest: '',
    disclosureDigest: '',
    lists: { researcher: [], image: [] },
    network,
  });
}

/** A train that was refused before it was inspected has no notes; its manifest says whose it was, if it verifies. */
function notesOf({ notes, manifest }: HopRecord, network: Network): HopRecord['notes'] {
  if (notes.title !== undefined) return notes;
  try {
    const { title, issuer, dataset } = verifyWhenIssued(
      parseEnvelope(manifest, 'manifest'),
      network,
    ).predicate;
    return { ...notes, title, researcher: issuer, dataset };
  } catch (thrown) {
    if (thrown instanceof PhtError) return notes;
    throw thrown;
  }
}

function inboxEntry(hop: HopRecord, network: Network) {
  const notes = notesOf(hop, network);
  return {
    hopId: hop.hopId,
    trainId: hop.trainId,
    title: notes.title ?? (notes.erased ? '(erased)' : ''),
    researcher: notes.researcher ?? '',
    dataset: notes.dataset ?? '',
    state: hop.state,
    outcome: hop.sealed?.outcome ?? '',
    code: hop.sealed?.code ?? '',
    receivedAtMs: BigInt(hop.receivedAtMs),
  };
}
