import { PhtError } from '../../model/error.ts';
import { hopEntryHead } from '../../model/hop.ts';
import type { Digest } from '../../model/id.ts';
import { memberOf } from '../../model/network.ts';
import { canonicalJson } from '../../model/result/canonical.ts';
import type { Manifest } from '../../model/train.ts';
import type { Policy, PolicyAnswer, PolicyFacts } from '../../ports/policy.ts';
import type { StationArchive } from '../../ports/station-archive.ts';
import type { ClearanceStore, HopRecord, HopStore } from '../../ports/station-store.ts';
import { currentCase, listsOf } from './case.ts';
import { imageApprovedHere } from './image-history.ts';
import { type Decided, type Inspected, type Station, stage } from './stages.ts';

/**
 * Asks the station's own policy over verified facts only. Missing, unparsable or erring means deny; the answer with the
 * rules that made it goes into the ledger, and what it was made from into the archive, so that it can be made again.
 */
export function createDecide(
  station: Station,
  ports: {
    hops: HopStore;
    policy: () => Policy;
    archive: Pick<StationArchive, 'keepPolicy'>;
    clearances: Pick<ClearanceStore, 'clearedWith' | 'statement'>;
  },
): (inspected: Inspected) => Promise<Decided> {
  return async (inspected) => {
    const nowMs = station.clock.nowMs();
    const policy = ports.policy();
    const { manifest, order } = inspected;
    const { configDigest } = manifest.predicate.image;
    const about = {
      ...{ manifest, dispatcher: order.predicate.issuer },
      imageApprovedHere: imageApprovedHere(configDigest, inspected.hop.hopId, station, ports.clearances),
    };
    const facts = factsOf(about, station, nowMs);
    const answer = policy.decide(facts);
    const { digest: caseDigest, disclosure } = currentCase(
      {
        manifest: inspected.manifest,
        dispatcher: inspected.order.predicate.issuer,
        snapshotDigest: inspected.dataset.snapshotDigest,
      },
      station,
      policy,
    );
    const hop = record(inspected.hop, { facts, answer, policy, caseDigest, nowMs }, station, ports);
    if (answer.verdict === 'deny') {
      const code = answer.error ? 'policy.error' : 'policy.denied';
      throw new PhtError(code, "this station's policy does not permit the train", {
        reasons: answer.reasons,
      });
    }
    return stage<Decided>({ inspected, hop, answer, policyDigest: policy.digest, disclosure, caseDigest });
  };
}

type Decision = {
  facts: PolicyFacts;
  answer: PolicyAnswer;
  policy: Policy;
  caseDigest: string;
  nowMs: number;
};

/** A decision is recorded once for each case: again only when something that a person would see has changed. */
function record(
  hop: HopRecord,
  decision: Decision,
  { commitments }: Station,
  { hops, archive }: { hops: HopStore; archive: Pick<StationArchive, 'keepPolicy'> },
): HopRecord {
  const { facts, answer, policy, caseDigest, nowMs } = decision;
  const { imageApprovedHere: approvedHere } = facts.train;
  // A release is held to it, so that its loss is a decision of its own.
  const takenBack = hop.notes.imageApprovedHere === true && !approvedHere;
  if (
    hop.state !== 'inspected' &&
    !takenBack &&
    hop.notes.caseDigest === caseDigest &&
    hop.notes.verdict === answer.verdict &&
    (hop.notes.approvalsNeeded ?? 0) === answer.approvals
  )
    return hop;
  const about = [facts.researcher.id, ...facts.train.recipients];
  archive.keepPolicy(policy.digest, policy.text);
  const body = {
    verdict: answer.verdict,
    policyDigest: policy.digest,
    requestCommitment: commitments.commit(canonicalJson(facts), about),
    // Its reasons name facts of the request.
    answerCommitment: commitments.commit(canonicalJson(answer), about),
    rules: answer.rules.slice(0, 20),
    error: answer.error,
  };
  return hops.move(hop, 'decided', {
    nowMs,
    notes: {
      ...{ caseDigest, verdict: answer.verdict, reasons: answer.reasons, imageApprovedHere: approvedHere },
      ...{ approvalsNeeded: answer.approvals, approvals: [], clearances: [] },
    },
    entries: [{ type: 'policy.decided', ...hopEntryHead(hop), body }],
  });
}

/** What a manifest and an inquiry about one have in common. */
export type AboutTrain = {
  manifest: {
    digest: Digest;
    predicate: Omit<Manifest, 'parameters' | 'nonce' | 'networkId' | 'networkVersion'>;
  };
  dispatcher: string;
  imageApprovedHere: boolean;
};

/** The same facts for a train and for the question what would be said to it. */
export function factsOf(about: AboutTrain, station: Station, nowMs: number): PolicyFacts {
  const { manifest, dispatcher } = about;
  const { predicate } = manifest;
  const lists = listsOf(predicate, station);
  return {
    nowMs,
    station: station.id,
    researcher: {
      id: predicate.issuer,
      organisation: memberOf(station.network(), predicate.issuer, 'researcher').organisation,
      lists: lists.researcher,
    },
    dispatcher,
    dataset: predicate.dataset,
    train: {
      manifestDigest: manifest.digest,
      imageConfigDigest: predicate.image.configDigest,
      imageLists: lists.image,
      imageApprovedHere: about.imageApprovedHere,
      title: predicate.title,
      purpose: predicate.purpose.text,
      duo: predicate.purpose.duo,
      outputKinds: predicate.outputs.kinds,
      minCellCount: predicate.outputs.minCellCount ?? 0,
      stops: predicate.route.stops,
      recipients: predicate.recipients.map(({ member }) => member),
      expiresMs: predicate.expiresMs,
      lifetimeMs: predicate.expiresMs - predicate.issuedAtMs,
      memoryBytesMax: predicate.limits.memoryBytesMax,
      cpuMillis: predicate.limits.cpuMillis,
      pidsMax: predicate.limits.pidsMax,
      wallMsMax: predicate.limits.wallMsMax,
      outputBytesMax: predicate.limits.outputBytesMax,
    },
  };
}
