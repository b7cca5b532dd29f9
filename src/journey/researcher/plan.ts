import { randomBytes } from 'node:crypto';
import type { PlanResponse } from '../../gen/pht/v1/journeys_pb.ts';
import { encodeEnvelope, parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { asPhtError, type ErrorCode, PhtError } from '../../model/error.ts';
import { type Digest, digestOf, type TrainId } from '../../model/id.ts';
import {
  INQUIRY_LIFETIME_MS_MAX,
  type Inquiry,
  PlannedTrain,
  REPLY_JWE_BYTES_MAX,
  type Reply,
  verifyReply,
} from '../../model/inquiry.ts';
import type { Network } from '../../model/network.ts';
import { check, TimestampMs } from '../../model/schema.ts';
import { readStatement, signStatement } from '../../model/statement.ts';
import { Manifest } from '../../model/train.ts';
import type { PackedTrains, TrainKey } from '../../ports/researcher-trains.ts';
import type { Opener, Signer } from '../../ports/signer.ts';
import type { JourneyClient } from './journeys.ts';
import type { Researcher } from './researcher.ts';

export type PlanPorts = {
  client: JourneyClient;
  trains: Pick<PackedTrains, 'find'>;
  signer: Signer;
  newKey(): TrainKey;
  openerOf(key: TrainKey): Opener;
};

/** What a station says would happen; it promises nothing, and decides again when the train comes. */
export type Outlook = Pick<
  Reply,
  'dataset' | 'verdict' | 'code' | 'approvals' | 'standing' | 'text' | 'reasons' | 'engineReady'
>;

/**
 * `offline` and `silent` are the dispatcher's word; `replied` is the station's own, verified; what came and did not
 * verify is `unverified`, with `code` and `text` saying why, and nothing of it is used.
 */
export type PlannedStop = {
  station: string;
  word: 'replied' | 'silent' | 'offline' | 'unverified';
  online: boolean;
  lastSeenMs: number | null;
  outlook: Outlook | null;
  code: ErrorCode | null;
  text: string;
};

/** `able`: stops that have what the train needs and permit it, at once or after a person; `enough`: as many as it wants. */
export type Plan = {
  trainId: TrainId;
  title: string;
  dataset: string;
  columns: string[];
  stops: PlannedStop[];
  minStations: number;
  able: number;
  enough: boolean;
};

/** Longer than the dispatcher waits for stations. */
const CALL_DEADLINE_MS = 40_000;

/**
 * Asks every stop of a packed train what it would say to it. Nothing is submitted: an inquiry is no manifest, and its
 * answers are sealed to a key that is forgotten when this returns.
 *
 * @param columns what the train reads; null for what was kept when it was packed
 * @throws PhtError `not-found`, `unreachable`, `input.malformed`, and the dispatcher's refusals
 */
export async function plan(
  trainId: TrainId,
  columns: readonly string[] | null,
  researcher: Researcher,
  ports: PlanPorts,
  signal: AbortSignal,
): Promise<Plan> {
  const packed = ports.trains.find(trainId);
  const payload = payloadOf(parseEnvelope(packed.manifest, 'the manifest'));
  // Read, not verified: the stations are the judges of it, and their reasons are the ones to show.
  const manifest = readStatement('manifest', Manifest, payload).predicate;
  const needed = [...new Set(columns ?? packed.columns ?? [])];
  const key = ports.newKey();
  const question = { manifest, digest: digestOf(payload), columns: needed, key };
  const { inquiry, digest } = sign(question, researcher, ports.signer);
  const about = {
    inquiryDigest: digest,
    columns: needed,
    network: researcher.network(),
    opener: ports.openerOf(key),
  };
  const { title, dataset, route } = manifest;
  const heard = new Map<string, PlannedStop>();
  for await (const answer of ports.client.plan({ inquiry }, { deadlineMs: CALL_DEADLINE_MS, signal })) {
    if (!route.stops.includes(answer.station) || heard.has(answer.station)) {
      throw new PhtError(
        'input.malformed',
        'the dispatcher speaks of a stop that was not asked, or twice of one',
      );
    }
    heard.set(answer.station, await stopOf(answer, about));
    researcher.tell(`${heard.size} of ${route.stops.length} stops`);
  }
  const stops = route.stops.map((station) => heard.get(station) ?? unheard(station));
  const able = stops.filter(({ outlook }) => isAble(outlook)).length;
  const { minStations } = route;
  return { trainId, title, dataset, columns: needed, stops, minStations, able, enough: able >= minStations };
}

type Question = { manifest: Manifest; digest: Digest; columns: string[]; key: TrainKey };

function sign(
  { manifest, digest, columns, key: { kty, crv, x } }: Question,
  { id, clock, network }: Researcher,
  signer: Signer,
): { inquiry: Uint8Array; digest: Digest } {
  const nowMs = clock.nowMs();
  const predicate: Inquiry = {
    networkId: network().id,
    networkVersion: network().version,
    issuer: id,
    train: check(PlannedTrain.strip(), manifest, 'the manifest'),
    columns,
    // The private half must never be signed along.
    replyKey: { kty, crv, x },
    nonce: randomBytes(16).toString('hex'),
    issuedAtMs: nowMs,
    expiresMs: nowMs + INQUIRY_LIFETIME_MS_MAX,
  };
  const signed = signStatement('inquiry', { name: 'manifest', digest }, predicate, signer);
  return { inquiry: encodeEnvelope(signed.envelope), digest: signed.digest };
}

type About = { inquiryDigest: Digest; columns: readonly string[]; network: Network; opener: Opener };

/** Never throws for what was shown: one station's broken answer must not hide the others'. */
async function stopOf(answer: PlanResponse, { network, opener, ...asked }: About): Promise<PlannedStop> {
  const { station, online, jwe } = answer;
  const lastSeenMs = check(TimestampMs, Number(answer.lastSeenMs), `when ${station} was seen`) || null;
  const base = { station, online, lastSeenMs, outlook: null, code: null, text: '' } as const;
  if (jwe.byteLength === 0) return { ...base, word: online ? 'silent' : 'offline' };
  try {
    if (jwe.byteLength > REPLY_JWE_BYTES_MAX) {
      throw new PhtError('input.too-large', `a reply has at most ${REPLY_JWE_BYTES_MAX} bytes`);
    }
    const envelope = parseEnvelope(await opener.open(jwe), 'the reply');
    const { predicate } = verifyReply(envelope, network, { station, ...asked });
    const { dataset, verdict, code, approvals, standing, text, reasons, engineReady } = predicate;
    const outlook = { dataset, verdict, code, approvals, standing, text, reasons, engineReady };
    return { ...base, word: 'replied', outlook };
  } catch (thrown) {
    const { code, message } = asPhtError(thrown);
    return { ...base, word: 'unverified', code, text: message.slice(0, 1000) };
  }
}

/** The dispatcher left it out. */
function unheard(station: string): PlannedStop {
  return { station, word: 'silent', online: false, lastSeenMs: null, outlook: null, code: null, text: '' };
}

function isAble(outlook: Outlook | null): boolean {
  if (outlook === null || outlook.dataset === null) return false;
  const { verdict, dataset } = outlook;
  const permits = verdict === 'permit' || verdict === 'ask';
  return permits && dataset.offered && dataset.missingColumns.length === 0;
}
