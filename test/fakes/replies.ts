import { createOpener } from '../../src/adapters/envelope/jwe.ts';
import { createSigner } from '../../src/adapters/signer/ed25519.ts';
import { policyReader } from '../../src/cli/station-files.ts';
import type { ReplyRequest } from '../../src/gen/pht/v1/tracks_pb.ts';
import { createRejects } from '../../src/journey/station/rejects.ts';
import { type Answered, createReplies, type Replies } from '../../src/journey/station/reply.ts';
import { parseEnvelope } from '../../src/model/dsse.ts';
import { type Reply, verifyReply } from '../../src/model/inquiry.ts';
import type { ExplanationLevel } from '../../src/model/refusal.ts';
import type { FakeInquiry } from './inquiries.ts';
import { type FakeNetwork, memberIn } from './network.ts';
import type { Process, Rig } from './station.ts';

/** What the station `north` answers to inquiries, with all of its own parts but the track. */

export type RepliesMade = {
  distrusted?: boolean;
  accepts?: boolean;
  explanations?: ExplanationLevel;
  posted?: ReplyRequest[];
};

export function makeReplies(rig: Rig, { store, ledger, station }: Process, made: RepliesMade = {}): Replies {
  const { accepts = true, explanations = 'full', posted = [], distrusted = false } = made;
  return createReplies(
    { ...station, explanations },
    {
      ...{ accepts, ledger, log: store.log, archive: store.archive, clearances: store.clearances },
      inquiries: store.inquiries,
      witness: { unresolved: () => (distrusted ? [{} as never] : []) },
      track: {
        reply: async (request) => {
          posted.push(request as ReplyRequest);
          return { $typeName: 'pht.v1.ReplyResponse' };
        },
      },
      rejects: createRejects(station, store.log),
      signer: createSigner(memberIn(rig.fake, 'north').keys.statement),
      sealer: rig.sealer,
      datasets: rig.datasets,
      policy: policyReader(rig.dir),
      executor: rig.executor,
      dispatcher: 'dispatcher',
    },
  );
}

/** As the researcher who asked reads it. */
export async function openedReply(
  { network }: Pick<FakeNetwork, 'network'>,
  { digest, key }: FakeInquiry,
  answered: Answered | null,
  columns: string[] = [],
): Promise<Reply> {
  const sealed = answered?.jwe ?? new Uint8Array();
  const envelope = parseEnvelope(await createOpener(key).open(sealed), 'the reply');
  return verifyReply(envelope, network, { station: 'north', inquiryDigest: digest, columns }).predicate;
}
