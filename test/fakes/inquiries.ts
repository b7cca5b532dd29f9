import { createSealer } from '../../src/adapters/envelope/jwe.ts';
import { type Envelope, encodeEnvelope } from '../../src/model/dsse.ts';
import type { Digest } from '../../src/model/id.ts';
import { type Inquiry, PlannedTrain, type Reply } from '../../src/model/inquiry.ts';
import { readStatement, signStatement } from '../../src/model/statement.ts';
import { Manifest } from '../../src/model/train.ts';
import type { TrainKey } from '../../src/ports/researcher-trains.ts';
import { type FakeNetwork, memberIn, publicOf, x25519 } from './network.ts';
import type { FakeTrain } from './trains.ts';

/** Questions of a researcher and answers of stations who may write into them whatever a test wants. */

export type FakeInquiry = { inquiry: Uint8Array; digest: Digest; envelope: Envelope; key: TrainKey };

export type InquiryLies = Partial<Omit<Inquiry, 'train'>> & {
  train?: Partial<PlannedTrain>;
  signedBy?: string;
};

let asked = 0;

/** What `pht train plan` asks about this train, each time with a nonce of its own. */
export function makeInquiry(
  fake: FakeNetwork,
  train: Pick<FakeTrain, 'envelope' | 'digest'>,
  nowMs: number,
  lies: InquiryLies = {},
): FakeInquiry {
  const { signedBy = 'rosa', train: about, ...changed } = lies;
  const payload = Buffer.from(train.envelope.payload, 'base64');
  const manifest = readStatement('manifest', Manifest, payload).predicate;
  const key = x25519();
  const predicate = {
    networkId: fake.network.id,
    networkVersion: fake.network.version,
    issuer: signedBy,
    train: { ...PlannedTrain.strip().parse(manifest), ...about },
    columns: [],
    replyKey: publicOf(key),
    nonce: (++asked).toString(16).padStart(32, '0'),
    issuedAtMs: nowMs,
    expiresMs: nowMs + 60_000,
    ...changed,
  };
  const subject = { name: 'manifest', digest: train.digest };
  const { envelope, digest } = signStatement('inquiry', subject, predicate, memberIn(fake, signedBy).signer);
  return { inquiry: encodeEnvelope(envelope), digest, envelope, key };
}

export type ReplyLies = Partial<Reply> & { signedBy?: string; sealedTo?: TrainKey; inquiry?: Digest };

/** A station's sealed answer. */
export async function makeReply(
  fake: FakeNetwork,
  station: string,
  about: { digest: Digest; replyKey: Inquiry['replyKey'] },
  nowMs: number,
  lies: ReplyLies = {},
): Promise<Uint8Array> {
  const { signedBy = station, sealedTo, inquiry, ...changed } = lies;
  const predicate = {
    networkId: fake.network.id,
    networkVersion: fake.network.version,
    issuer: station,
    dataset: { offered: true, missingColumns: [] },
    verdict: 'permit',
    code: null,
    approvals: 0,
    standing: 'none',
    text: '',
    reasons: ['any train of this network'],
    engineReady: true,
    issuedAtMs: nowMs,
    ...changed,
  };
  const subject = { name: 'inquiry', digest: inquiry ?? about.digest };
  const { envelope } = signStatement('reply', subject, predicate, memberIn(fake, signedBy).signer);
  const to = sealedTo === undefined ? about.replyKey : publicOf(sealedTo);
  return createSealer().seal(encodeEnvelope(envelope), [to]);
}
