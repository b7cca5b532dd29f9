import type { AdminService } from '../../gen/pht/v1/admin_pb.ts';
import { asPhtError } from '../../model/error.ts';
import type { HopRecord, HopStore } from '../../ports/station-store.ts';
import type { Service } from '../../ports/wire.ts';
import { decisionProof, type ProofPorts } from './decision-proof.ts';
import { pastDecisions } from './decisions.ts';
import type { Difference } from './difference.ts';
import { type DisclosePorts, disclose } from './disclose.ts';
import { type DryRunPorts, dryRun } from './dry-run.ts';
import { forget } from './forget.ts';
import { inboxEntry } from './inbox.ts';
import { hopOf } from './look.ts';
import { createRejects } from './rejects.ts';
import { type ShowPorts, showHop } from './show-hop.ts';
import type { Station } from './stages.ts';
import { standingClearances } from './standing.ts';
import { type DecisionPorts, takeDecision } from './take-decision.ts';
import { decideTrust, distrusted, knownConflicts, type TrustPorts } from './trust.ts';
import { type WithdrawPorts, withdraw } from './withdraw.ts';

export type AdminPorts = DisclosePorts &
  ProofPorts &
  TrustPorts &
  DecisionPorts &
  DryRunPorts &
  ShowPorts &
  WithdrawPorts & {
    hops: HopStore;
    connected: () => boolean;
    problem: () => string;
    /** Why the ledger is not signed or published, in words; empty when it is. */
    ledgerProblem: () => string;
    /** What a hop waits for that may pass by itself, in words; empty when it does not. */
    waitsFor: (hopId: string) => string;
    difference: Difference;
    /** The ledger has grown without a hop. */
    recorded: () => void;
  };

const NEWEST = 200;

/** What waits for a person, or for something that a person may have to see to. */
function inInbox({ hops, waitsFor }: Pick<AdminPorts, 'hops' | 'waitsFor'>): HopRecord[] {
  const waiting = hops
    .open()
    .filter(({ state, hopId }) => state === 'awaiting-clearance' || waitsFor(hopId) !== '');
  return waiting.flatMap(({ hopId }) => hops.find(hopId) ?? []);
}

/** What an admin asks of the agent over the local socket. The agent cannot sign for the admin: it only verifies. */
export function createAdminService(station: Station, ports: AdminPorts): Service<typeof AdminService> {
  const rejects = createRejects(station, ports.log);
  /** Whatever a person, or somebody in a person's name, wants of this station and does not get is on record. */
  const counted = async <T>(what: 'clearance' | 'withdrawal', take: () => Promise<T>): Promise<T> => {
    try {
      return await take();
    } catch (thrown) {
      rejects.count(asPhtError(thrown).code, what);
      throw thrown;
    } finally {
      ports.recorded();
    }
  };
  return {
    status: async () => ({
      station: station.id,
      connected: ports.connected(),
      openHops: ports.hops.open().length,
      problem: ports.problem(),
      distrusted: distrusted(ports.witness),
      ledgerProblem: ports.ledgerProblem(),
    }),
    inbox: async ({ all }) => {
      const hops = all ? ports.hops.list({ newest: NEWEST }) : inInbox(ports);
      return {
        entries: hops.map((hop) => ({
          ...inboxEntry(hop, station.network(), ports.clearances),
          problem: ports.waitsFor(hop.hopId),
        })),
      };
    },
    show: async ({ hopId, config }) => showHop(hopOf(hopId, ports.hops), config, station, ports),
    dryRun: async ({ hopId }) => ({ gates: await dryRun(hopOf(hopId, ports.hops), station, ports) }),
    difference: ({ hopId }, { signal }) => ports.difference(hopOf(hopId, ports.hops), signal),
    decide: async ({ hopId, clearance }) =>
      counted('clearance', () => takeDecision(hopId, clearance, station, ports)),
    standing: async () => ({ clearances: standingClearances(station, ports.clearances) }),
    withdraw: async ({ statement }) => counted('withdrawal', async () => withdraw(statement, station, ports)),
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
      const hop = hopOf(hopId, ports.hops);
      return { proof: await decisionProof(hop, ports), state: hop.state };
    },
    decisions: (request, { signal }) => pastDecisions(request, ports, signal),
    conflicts: async () => ({ conflicts: knownConflicts(ports.witness) }),
    trust: async ({ statement }) => {
      const answer = decideTrust(statement, station, ports);
      ports.recorded();
      return answer;
    },
  };
}
