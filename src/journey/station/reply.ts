import type { TrackService } from '../../gen/pht/v1/tracks_pb.ts';
import { encodeEnvelope, parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { asPhtError, PhtError } from '../../model/error.ts';
import { type Digest, digestOf } from '../../model/id.ts';
import { INQUIRY_BYTES_MAX, type Reply, type VerifiedInquiry, verifyInquiry } from '../../model/inquiry.ts';
import { assertFresh } from '../../model/network.ts';
import { canonicalJson } from '../../model/result/canonical.ts';
import { signStatement } from '../../model/statement.ts';
import type { Ledger } from '../../ports/ledger.ts';
import type { Sealer, Signer } from '../../ports/signer.ts';
import type { StationArchive } from '../../ports/station-archive.ts';
import type { InquiryStore, StationLog } from '../../ports/station-store.ts';
import type { Client } from '../../ports/wire.ts';
import { assertClock } from './clock.ts';
import { tell } from './explain.ts';
import { type Foreseen, type ForeseePorts, foresee } from './foresee.ts';
import { NO_HOP } from './forget.ts';
import type { Rejects } from './rejects.ts';
import type { Station } from './stages.ts';

export type ReplyPorts = ForeseePorts & {
  track: Pick<Client<typeof TrackService>, 'reply'>;
  /** Whether this station's admin lets researchers ask at all. */
  accepts: boolean;
  archive: Pick<StationArchive, 'keepPolicy'>;
  log: Pick<StationLog, 'append'>;
  inquiries: InquiryStore;
  ledger: Pick<Ledger, 'covered'>;
  rejects: Rejects;
  signer: Signer;
  sealer: Sealer;
};

/** What goes back over the track; without a JWE it says that no answer will come. */
export type Answered = { inquiryDigest: Digest; jwe: Uint8Array };

export interface Replies {
  /** Answers one after the other in the background, so that no order waits for it. Never throws. */
  take(inquiries: readonly Uint8Array[], signal: AbortSignal): void;
  /** null where nothing is to be said: it is no envelope, or it was asked before. */
  answer(inquiry: Uint8Array): Promise<Answered | null>;
  /** Once nothing is under way. */
  settle(): Promise<void>;
}

const RATES = { windowMs: 3_600_000, perResearcherMax: 30, overallMax: 200 } as const;
const WAITING_MAX = 32;
const CALL_DEADLINE_MS = 15_000;
const NO_ANSWER = new Uint8Array();

/**
 * What would be said to a train, told to its researcher alone. Whatever is not answered is counted like an order that
 * was not taken on; whatever is answered stands in the ledger first, without a name in clear.
 */
export function createReplies(station: Station, ports: ReplyPorts): Replies {
  let turn: Promise<void> = Promise.resolve();
  let waiting = 0;

  const answer: Replies['answer'] = async (bytes) => {
    let inquiryDigest: Digest | null = null;
    try {
      if (bytes.byteLength > INQUIRY_BYTES_MAX) {
        throw new PhtError('input.too-large', `an inquiry has at most ${INQUIRY_BYTES_MAX} bytes`);
      }
      const envelope = parseEnvelope(bytes, 'inquiry');
      inquiryDigest = digestOf(payloadOf(envelope));
      const nowMs = station.clock.nowMs();
      assertClock(station, nowMs);
      assertFresh(station.network(), nowMs);
      const inquiry = verifyInquiry(envelope, station.network(), nowMs);
      take(inquiry, station, ports, nowMs);
      const foreseen = await foresee(inquiry, station, ports, nowMs);
      return { inquiryDigest, jwe: await sealed(inquiry, foreseen, station, ports) };
    } catch (thrown) {
      const { code } = asPhtError(thrown);
      station.note('an inquiry was not answered', { code, inquiryDigest });
      ports.rejects.count(code, 'inquiry');
      // The first answer may be on its way still.
      return inquiryDigest === null || code === 'replayed' ? null : { inquiryDigest, jwe: NO_ANSWER };
    }
  };

  const one = async (bytes: Uint8Array, signal: AbortSignal): Promise<void> => {
    if (signal.aborted) return;
    try {
      const answered = await answer(bytes);
      if (answered !== null) await ports.track.reply(answered, { deadlineMs: CALL_DEADLINE_MS, signal });
    } catch (thrown) {
      station.note('an answer to an inquiry did not arrive', { code: asPhtError(thrown).code });
    }
  };

  return {
    answer,
    take: (inquiries, signal) => {
      for (const bytes of inquiries) {
        if (waiting >= WAITING_MAX) {
          ports.rejects.count('quota.exceeded', 'inquiry');
          continue;
        }
        waiting++;
        turn = turn.then(() => one(bytes, signal)).finally(() => waiting--);
      }
    },
    settle: () => turn,
  };
}

/**
 * Probing a policy by asking over and over is what the rates are for; only what verifies counts against anybody.
 *
 * @throws PhtError `order.audience`, `forbidden`, `replayed`, `quota.exceeded`
 */
function take(
  { predicate, digest }: VerifiedInquiry,
  { id }: Station,
  { accepts, inquiries }: Pick<ReplyPorts, 'accepts' | 'inquiries'>,
  nowMs: number,
): void {
  if (!predicate.train.route.stops.includes(id)) {
    throw new PhtError('order.audience', 'this station is no stop of the train that the inquiry is about');
  }
  if (!accepts) throw new PhtError('forbidden', 'this station answers no inquiries');
  const { issuer: researcher, expiresMs } = predicate;
  const taken = inquiries.take({ digest, researcher, expiresMs }, RATES, nowMs);
  if (taken === 'replayed') throw new PhtError('replayed', 'this inquiry was made here before');
  if (taken === 'too-many')
    throw new PhtError('quota.exceeded', 'there were too many inquiries within an hour');
}

/** Signed, sealed, on record, and only then out of here. */
async function sealed(
  { predicate, digest }: VerifiedInquiry,
  { facts, policy, message, reasons, ...answer }: Foreseen,
  station: Station,
  ports: ReplyPorts,
): Promise<Uint8Array> {
  const network = station.network();
  const nowMs = station.clock.nowMs();
  // A policy's word is told alike, whatever it is.
  const said = { code: answer.code ?? 'policy.denied', message, reasons };
  const told = tell(said, station.explanations, predicate.issuer);
  const reply: Reply = {
    networkId: network.id,
    networkVersion: network.version,
    issuer: station.id,
    ...answer,
    text: answer.code === null ? '' : told.text,
    reasons: told.reasons,
    issuedAtMs: nowMs,
  };
  const { envelope } = signStatement('reply', { name: 'inquiry', digest }, reply, ports.signer);
  const jwe = await ports.sealer.seal(encodeEnvelope(envelope), [predicate.replyKey]);
  if (policy !== null) ports.archive.keepPolicy(policy.digest, policy.text);
  const about = [predicate.issuer, ...predicate.train.recipients.map(({ member }) => member)];
  const { commitments } = station;
  const body = {
    inquiryDigest: digest,
    verdict: reply.verdict,
    policyDigest: policy?.digest ?? '',
    requestCommitment: commitments.commit(canonicalJson(facts ?? { inquiryDigest: digest }), about),
    answerCommitment: commitments.commit(canonicalJson(reply), about),
  };
  const size = ports.log.append([{ type: 'inquiry.answered', ...NO_HOP, body }], nowMs);
  await ports.ledger.covered(size);
  return jwe;
}
