import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type DescMethod } from '@bufbuild/protobuf';
import { createOpener, createSealer } from '../../src/adapters/envelope/jwe.ts';
import { createArrivals, createPackedTrains } from '../../src/adapters/home/trains.ts';
import { retrying } from '../../src/adapters/wire/backoff.ts';
import { JourneyService } from '../../src/gen/pht/v1/journeys_pb.ts';
import type { JourneyClient } from '../../src/journey/researcher/journeys.ts';
import type { Researcher, Retry } from '../../src/journey/researcher/researcher.ts';
import type { Shown } from '../../src/journey/researcher/verify-station.ts';
import { encodeEnvelope, keyIdOf, parseEnvelope } from '../../src/model/dsse.ts';
import { type Digest, digestOf } from '../../src/model/id.ts';
import type { Order } from '../../src/model/order.ts';
import type { ExplanationPredicate, Receipt, ResultPredicate } from '../../src/model/receipt.ts';
import type { PhtResult } from '../../src/model/result/schema.ts';
import { signStatement } from '../../src/model/statement.ts';
import { type VerifiedManifest, verifyManifest } from '../../src/model/train.ts';
import type { TrainKey } from '../../src/ports/researcher-trains.ts';
import { type FakeNetwork, memberIn, publicOf, x25519 } from '../fakes/network.ts';
import { makeImage, makeOrder, makeTrain } from '../fakes/trains.ts';
import { type Cosigner, cosigned, proofOfReceipt } from './proofs.ts';

/** A researcher with a real home, a packed train, and stations that answer it with real keys. */

export const NOW_MS = 1_800_000_000_000;

export type Home = {
  dir: string;
  trains: ReturnType<typeof createPackedTrains>;
  arrivals: ReturnType<typeof createArrivals>;
  researcher: Researcher;
  told: string[];
  clear(): void;
};

export function makeHome(fake: FakeNetwork): Home {
  const dir = mkdtempSync(join(tmpdir(), 'researcher-'));
  const told: string[] = [];
  return {
    dir,
    told,
    trains: createPackedTrains(dir),
    arrivals: createArrivals(dir),
    researcher: {
      id: 'rosa',
      network: () => fake.network,
      clock: { nowMs: () => NOW_MS },
      tell: (line) => told.push(line),
    },
    clear: () => rmSync(dir, { recursive: true, force: true }),
  };
}

export type Packed = { manifest: VerifiedManifest; bytes: Uint8Array; key: TrainKey };

export function packTrain(fake: FakeNetwork, stops: readonly string[], minStations = 1): Packed {
  const key = x25519();
  const route = { pattern: 'parallel' as const, stops: [...stops], minStations, deadlineMs: 86_400_000 };
  const recipients = [{ member: 'rosa', jwk: publicOf(key) }];
  const train = makeTrain(fake, makeImage().image, NOW_MS, { route, recipients });
  return { manifest: verifyManifest(train.envelope, fake.network, NOW_MS), bytes: train.manifest, key };
}

/** Retries without waiting long. */
export const retry: Retry = (attempt, options) =>
  retrying(attempt, { ...options, limits: { baseMs: 1, maxMs: 2 } });

export const COUNT: PhtResult = {
  schema: 'pht-result/v1',
  outputs: [{ id: 'rows', kind: 'Frequencies', dims: [], cells: [{ k: [], n: 25 }] }],
};

/** What a lying party changes before it signs, and what it signs with. */
export type Lies = {
  order?: Partial<Order> & { signedBy?: string };
  orderSubject?: string;
  receipt?: Partial<Receipt>;
  result?: Partial<ResultPredicate>;
  explanation?: Partial<ExplanationPredicate>;
  /** The order digest that each statement speaks of. */
  receiptSubject?: string;
  insideSubject?: string;
  signer?: string;
  insideSigner?: string;
  sealedTo?: TrainKey;
  jwe?: (jwe: Uint8Array) => Uint8Array;
  /** Whose ledger the receipt stands in, and who cosigns its head. */
  receiptLog?: string;
  witnesses?: readonly string[];
  /** Who says that it was there a day earlier. */
  early?: readonly string[];
  /** With other keys than they began with. */
  cosigners?: readonly Cosigner[];
};

export async function released(
  fake: FakeNetwork,
  packed: Packed,
  station: string,
  lies: Lies = {},
): Promise<Shown> {
  const result = {
    dataset: { id: 'cgd', snapshotDigest: digestOf('data') },
    policyDigest: digestOf('policy'),
    disclosureDigest: digestOf('disclosure'),
    recipients: [keyIdOf(packed.key)],
    result: COUNT,
    ...lies.result,
  };
  return show(fake, packed, station, lies, 'result', result, {
    outcome: 'released',
    code: 'released',
    commitment: null,
  });
}

export async function refused(
  fake: FakeNetwork,
  packed: Packed,
  station: string,
  lies: Lies = {},
): Promise<Shown> {
  const salt = '00112233445566778899aabbccddeeff';
  const explanation = {
    outcome: 'refused' as const,
    code: 'policy.denied' as const,
    text: 'no rule permits it',
    reasons: ['the purpose is not one of ours'],
    salt,
    ...lies.explanation,
  };
  const commitment = createHash('sha256')
    .update(Buffer.from(salt, 'hex'))
    .update(JSON.stringify(['policy.denied', 'no rule permits it', ['the purpose is not one of ours']]))
    .digest('hex');
  return show(fake, packed, station, lies, 'explanation', explanation, {
    outcome: 'refused',
    code: 'policy.denied',
    commitment,
  });
}

async function show(
  fake: FakeNetwork,
  packed: Packed,
  station: string,
  lies: Lies,
  name: 'result' | 'explanation',
  inside: object,
  said: Pick<Receipt, 'outcome' | 'code' | 'commitment'>,
): Promise<Shown> {
  const manifestDigest = packed.manifest.digest;
  const subject = (lies.orderSubject ?? manifestDigest) as typeof manifestDigest;
  const order = makeOrder(fake, subject, NOW_MS, { audience: station, ...lies.order });
  const issued = { networkId: fake.network.id, networkVersion: fake.network.version, issuer: station };
  const visit = { manifestDigest, step: 'run', round: 1, attempt: 1, issuedAtMs: NOW_MS };
  const about = (digest: string | undefined) => ({
    name: 'order',
    digest: (digest ?? order.digest) as typeof order.digest,
  });
  const sealed = signStatement(
    name,
    about(lies.insideSubject),
    { ...issued, ...visit, ...inside },
    memberIn(fake, lies.insideSigner ?? lies.signer ?? station).signer,
  );
  const recipient = publicOf(lies.sealedTo ?? packed.key);
  const jwe = await createSealer().seal(encodeEnvelope(sealed.envelope), [recipient]);
  const receipt = signStatement(
    'receipt',
    about(lies.receiptSubject),
    { ...issued, ...visit, ...said, jweDigest: digestOf(jwe), quotes: null, ...lies.receipt },
    memberIn(fake, lies.signer ?? station).signer,
  );
  const shownJwe = lies.jwe?.(jwe) ?? jwe;
  const proof = proofOfReceipt(fake, lies.receiptLog ?? station, {
    orderDigest: (lies.receiptSubject ?? order.digest) as Digest,
    receiptDigest: receipt.digest,
    manifestDigest,
    outcome: said.outcome,
  });
  return {
    station,
    order: order.order,
    receipt: encodeEnvelope(receipt.envelope),
    jwe: shownJwe,
    orderProof: order.proof,
    receiptProof: cosigned(fake, proof, lies.witnesses ?? [], lies),
  };
}

export function openerFor({ key }: Packed): ReturnType<typeof createOpener> {
  return createOpener(key);
}

/** Envelope bytes with one bit of the signature turned. */
export function tamper(bytes: Uint8Array): Uint8Array {
  const envelope = parseEnvelope(bytes, 'an envelope');
  const [first, ...rest] = envelope.signatures;
  const sig = Buffer.from(first?.sig ?? '', 'base64');
  sig[0] = (sig[0] ?? 0) ^ 1;
  return encodeEnvelope({ ...envelope, signatures: [{ sig: sig.toString('base64') }, ...rest] });
}

type Answers = { [K in keyof typeof JourneyService.method]?: (request: never, options: never) => unknown };

/** A dispatcher of a test's own making; a call that the test did not foresee fails it. */
export function clientOf(answers: Answers): JourneyClient {
  const methods = Object.entries<DescMethod>(JourneyService.method).map(([name, method]) => [
    name,
    (request: Record<string, unknown>, options: unknown) => {
      const answer = answers[name as keyof Answers] as ((...parameters: unknown[]) => unknown) | undefined;
      if (answer === undefined) throw new Error(`nobody expected ${name}`);
      return answer(create(method.input, request), options);
    },
  ]);
  return Object.fromEntries(methods) as JourneyClient;
}
