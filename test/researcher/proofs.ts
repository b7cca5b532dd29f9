import { type Digest, hopIdOf, trainIdOf } from '../../src/model/id.ts';
import { addSignatures, cosignText, formatNote, parseNote } from '../../src/model/ledger/note.ts';
import { witnessKey } from '../../src/model/ledger/origin.ts';
import { formatTlogProof, parseTlogProof } from '../../src/model/ledger/proof.ts';
import { logOf } from '../fakes/dispatcher-log.ts';
import { type FakeNetwork, memberIn, signerOf } from '../fakes/network.ts';

/** Proofs from the fake network's ledgers, true ones and any that a test wants a liar to show. */

const TS_MS = 1_800_000_000_000;

/** The receipt's entry in a member's ledger. */
export function proofOfReceipt(
  fake: FakeNetwork,
  member: string,
  of: { orderDigest: Digest; receiptDigest: Digest; manifestDigest: Digest; outcome: string },
): Uint8Array {
  const { orderDigest, receiptDigest, manifestDigest, outcome } = of;
  return logOf(fake, member).prove({
    v: 1,
    ts: TS_MS,
    type: 'receipt.issued',
    trainId: trainIdOf(manifestDigest),
    hopId: hopIdOf(orderDigest),
    attempt: 1,
    epoch: 1,
    manifestDigest,
    actor: member,
    prev: null,
    body: { orderDigest, receiptDigest, outcome },
  });
}

/** The admission's entry in a member's ledger. */
export function proofOfAdmission(
  fake: FakeNetwork,
  manifestDigest: Digest,
  member = 'dispatcher',
): Uint8Array {
  return logOf(fake, member).prove({
    v: 1,
    ts: TS_MS,
    type: 'train.admitted',
    trainId: trainIdOf(manifestDigest),
    hopId: null,
    attempt: null,
    epoch: null,
    manifestDigest,
    actor: member,
    prev: null,
    body: { researcher: 'rosa' },
  });
}

export type Cosigner = { id: string; signer: ReturnType<typeof signerOf> };

/** The same proof under a checkpoint that these members cosigned as well. */
export function cosigned(
  fake: FakeNetwork,
  bytes: Uint8Array,
  witnesses: readonly string[],
  { early = [], cosigners = [] }: { early?: readonly string[]; cosigners?: readonly Cosigner[] } = {},
): Uint8Array {
  const proof = parseTlogProof(bytes);
  const note = parseNote(proof.checkpoint);
  const line = (id: string, { sign, publicJwk }: Cosigner['signer'], timeS: number) =>
    cosignText(note.text, { key: witnessKey(fake.network.id, id, publicJwk), sign }, timeS);
  const own = (id: string): Cosigner['signer'] => signerOf(memberIn(fake, id).keys.witness);
  const further = [
    ...witnesses.map((id) => line(id, own(id), TS_MS / 1000)),
    ...early.map((id) => line(id, own(id), TS_MS / 1000 - 86_400)),
    ...cosigners.map(({ id, signer }) => line(id, signer, TS_MS / 1000)),
  ];
  return Buffer.from(formatTlogProof({ ...proof, checkpoint: formatNote(addSignatures(note, further)) }));
}
