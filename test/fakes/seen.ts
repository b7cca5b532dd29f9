import { ledgerOrigin, witnessKey } from '../../src/model/ledger/origin.ts';
import { type SeenAnswer, signSeen } from '../../src/model/ledger/seen.ts';
import { type FakeNetwork, memberIn, signerOf } from './network.ts';

/** What `witness` says, truly or not, to a question about the ledger of `member`: signed with its own key. */
export function saysSeen(
  fake: FakeNetwork,
  witness: string,
  member: string,
  nonce: Uint8Array,
  note: Uint8Array | string,
): SeenAnswer {
  const signer = signerOf(memberIn(fake, witness).keys.witness);
  const key = witnessKey(fake.network.id, witness, signer.publicJwk);
  const question = { origin: ledgerOrigin(fake.network.id, member), nonce };
  return signSeen(question, Buffer.from(note), { key, sign: (message) => signer.sign(message) });
}
