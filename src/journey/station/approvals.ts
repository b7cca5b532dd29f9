import { verifyClearance } from '../../model/clearance.ts';
import { parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import type { Digest } from '../../model/id.ts';
import { type ImageConfig, verifyImageConfig } from '../../model/image-config.ts';
import { memberOf, personOf } from '../../model/network.ts';
import {
  coversImage,
  misfitOf,
  type StandingCase,
  type VerifiedStanding,
  verifyStanding,
} from '../../model/standing.ts';
import type { Manifest, TrainImage } from '../../model/train.ts';
import type {
  ClearanceStore,
  Consumption,
  HopRecord,
  StandingRecord,
  Visit,
} from '../../ports/station-store.ts';
import type { Station } from './stages.ts';

/** A person's word on a case, verified against the network of now. */
export type Word = {
  readonly digest: string;
  readonly standing: boolean;
  readonly verdict: 'approve' | 'reject';
  readonly reason: string;
  readonly admin: string;
  readonly person: string;
  readonly issuedAtMs: number;
};

/** The case as it is now, and how many persons have to approve it. */
export type OpenCase = {
  readonly hop: HopRecord;
  readonly digest: Digest;
  readonly manifest: Manifest;
  readonly policyDigest: string;
  readonly disclosureDigest: string;
  readonly needed: number;
};

/** `given`: approvals that count, one of each person, fewer than are needed. */
export type Judgement =
  | { is: 'approved'; words: Word[]; terms: Consumption['terms'] }
  | { is: 'rejected'; word: Word }
  | { is: 'waits'; given: Word[] };

/** The config blob of a train's image: what a standing clearance over code is held against. */
export type ReadConfig = (trainId: string, image: TrainImage) => Promise<Uint8Array>;

export type ApprovalPorts = { clearances: ClearanceStore; configOf: ReadConfig };

/**
 * What persons have said to this case, on it itself or by standing clearances whose every term it keeps. A statement
 * that does not hold now is as if it had never been made. Changes nothing.
 */
export async function judgeCase(
  about: OpenCase,
  station: Station,
  { clearances, configOf }: ApprovalPorts,
): Promise<Judgement> {
  const words = wordsOn(about, station, clearances);
  const rejection = words.find(({ verdict }) => verdict === 'reject');
  if (rejection !== undefined) return { is: 'rejected', word: rejection };
  const given = approvalsAmong(words, about, station);
  if (given.length >= about.needed)
    return { is: 'approved', words: given.slice(0, about.needed), terms: null };
  const question = { ...about, visit: about.hop };
  let most = given;
  for (const agreed of await standingOn(question, station, clearances, byConfig(about, station, configOf))) {
    const { terms, words: counted } = agreed;
    if (counted.length >= about.needed)
      return { is: 'approved', words: counted.slice(0, about.needed), terms };
    if (counted.length > most.length) most = counted;
  }
  return { is: 'waits', given: most };
}

/** One of each person, the newest: a later word of the same person takes the place of an earlier one. */
export function wordsOn(
  { digest, hop }: Pick<OpenCase, 'digest' | 'hop'>,
  station: Station,
  clearances: Pick<ClearanceStore, 'find'>,
): Word[] {
  const words = clearances.find(digest, hop.hopId).flatMap((signed) => {
    return ifHolds(station, signed.digest, () => {
      const envelope = parseEnvelope(signed.envelope, 'clearance');
      const nowMs = station.clock.nowMs();
      const { predicate, person } = verifyClearance(envelope, station.network(), station.id, digest, nowMs);
      if (predicate.manifestDigest !== hop.manifestDigest)
        throw new PhtError('clearance.invalid', 'the clearance speaks of another train');
      return { ...wordOf(signed.digest, predicate, person), verdict: predicate.verdict };
    });
  });
  return newestOfEach(words);
}

function wordOf(
  digest: string,
  { reason, issuer, issuedAtMs }: { reason: string; issuer: string; issuedAtMs: number },
  person: string,
): Word {
  return { digest, standing: false, verdict: 'approve', reason, admin: issuer, person, issuedAtMs };
}

function newestOfEach(words: readonly Word[]): Word[] {
  const newest = new Map<string, Word>();
  for (const word of words) {
    const known = newest.get(word.person);
    if (known === undefined || word.issuedAtMs >= known.issuedAtMs) newest.set(word.person, word);
  }
  return [...newest.values()].sort((a, b) => a.issuedAtMs - b.issuedAtMs);
}

/** Nobody approves his own train, whatever accounts he has. */
function approvalsAmong(
  words: readonly Word[],
  { manifest }: Pick<StandingCase, 'manifest'>,
  station: Station,
): Word[] {
  const own = personOf(memberOf(station.network(), manifest.issuer, 'researcher'));
  return words.filter(({ verdict, person }) => verdict === 'approve' && person !== own);
}

/** `words`: those that count, one of each person, under the very same terms. */
type Agreed = { terms: NonNullable<Consumption['terms']>; words: Word[] };

/** A case, or a train that may become one. */
export type StandingQuestion = StandingCase & { readonly visit: Visit };

/** Whether the image is one that it speaks of. */
export type Covers = (standing: VerifiedStanding) => boolean | Promise<boolean>;

/** Standing clearances that fit this case and have a run for it, together where their terms are the same. */
export async function standingOn(
  about: StandingQuestion,
  station: Station,
  clearances: Pick<ClearanceStore, 'standing' | 'hasRun'>,
  covers: Covers,
): Promise<Agreed[]> {
  const { issuer: researcher, dataset } = about.manifest;
  const agreed = new Map<string, Agreed>();
  for (const record of clearances.standing({ researcher, dataset })) {
    if (record.withdrawn) continue;
    const [opened] = ifHolds(station, record.digest, () => fitting(record, about, station, clearances));
    if (opened === undefined || !(await covers(opened))) continue;
    const { predicate, person } = opened;
    const terms = { digest: record.termsDigest, runsMax: predicate.runsMax };
    const known = agreed.get(record.termsDigest) ?? { terms, words: [] };
    const word = { ...wordOf(record.digest, predicate, person), standing: true };
    agreed.set(record.termsDigest, { terms, words: newestOfEach([...known.words, word]) });
  }
  return [...agreed.values()].map(({ terms, words }) => ({
    terms,
    words: approvalsAmong(words, about, station),
  }));
}

/** Its config is read where one speaks of code, and once. */
function byConfig({ hop, manifest }: OpenCase, station: Station, configOf: ReadConfig): Covers {
  let config: Promise<ImageConfig | null> | undefined;
  return async ({ predicate }) => {
    if ('code' in predicate.scope) config ??= configOrNull(hop, manifest.image, station, configOf);
    return coversImage(predicate, manifest, (await config) ?? null);
  };
}

/** Whatever they fit: those that are in force. */
export function standingWords(records: readonly StandingRecord[], station: Station): Word[] {
  const at = { network: station.network(), station: station.id, nowMs: station.clock.nowMs() };
  return records.flatMap(({ digest, envelope }) =>
    ifHolds(station, digest, () => {
      const { predicate, person } = verifyStanding(parseEnvelope(envelope, 'standing clearance'), at);
      return { ...wordOf(digest, predicate, person), standing: true };
    }),
  );
}

function fitting(
  record: StandingRecord,
  about: StandingQuestion,
  station: Station,
  clearances: Pick<ClearanceStore, 'hasRun'>,
): VerifiedStanding | undefined {
  const at = { network: station.network(), station: station.id, nowMs: station.clock.nowMs() };
  const opened = verifyStanding(parseEnvelope(record.envelope, 'standing clearance'), at);
  if (misfitOf(opened.predicate, about) !== null) return undefined;
  const terms = { digest: record.termsDigest, runsMax: opened.predicate.runsMax };
  return clearances.hasRun(terms, about.visit) ? opened : undefined;
}

/** Without its config nothing is known of an image's code: a person is asked. */
async function configOrNull(
  { trainId, hopId }: HopRecord,
  image: TrainImage,
  station: Station,
  configOf: ReadConfig,
): Promise<ImageConfig | null> {
  try {
    return verifyImageConfig(await configOf(trainId, image), image);
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    station.note("an image's config could not be looked at", { hopId, code: thrown.code });
    return null;
  }
}

/** A hop that waits is looked at every few seconds: what does not hold is told once, and expiry is no news at all. */
const told = new WeakMap<Station, Set<string>>();

/** Whoever left, expired or cannot be verified any more has said nothing. */
function ifHolds<T>(station: Station, digest: string, open: () => T | undefined): T[] {
  try {
    const opened = open();
    return opened === undefined ? [] : [opened];
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    const known = told.get(station) ?? new Set();
    told.set(station, known);
    const news = `${digest} ${thrown.code}`;
    if (thrown.code !== 'clearance.expired' && !known.has(news))
      station.note('a clearance does not hold any more', { digest, code: thrown.code });
    known.add(news);
    return [];
  }
}
