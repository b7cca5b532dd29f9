import { z } from 'zod';
import { type Digest, digestOf } from './id.ts';
import type { Member, Network } from './network.ts';
import { memberOf } from './network.ts';
import { Slug } from './schema.ts';
import { type Manifest, recipientKeys, type VerifiedManifest } from './train.ts';

export const CaseLists = z.strictObject({
  researcher: z.array(Slug).max(1000),
  image: z.array(Slug).max(1000),
});
export type CaseLists = z.infer<typeof CaseLists>;

/**
 * Everything that a person sees before approving, as one canonical document whose digest the clearance signs
 * (protocol, section 3). It holds the network's *entries* of the members involved and not its version: admitting a
 * stranger must not undo an approval.
 */
export type CaseFile = {
  schema: 'pht-case/v1';
  station: string;
  manifestDigest: string;
  manifest: Manifest;
  step: 'run';
  round: 1;
  dataset: { id: string; snapshotDigest: string };
  policyDigest: string;
  disclosureDigest: string;
  /** Of the station's own lists, those that name the researcher and the image: a policy may speak of them. */
  lists: CaseLists;
  researcher: Member;
  dispatcher: Member;
  recipients: { member: string; key: string }[];
  expiresMs: number;
};

export type CaseFacts = {
  station: string;
  dispatcher: string;
  manifest: VerifiedManifest;
  snapshotDigest: string;
  policyDigest: string;
  disclosureDigest: string;
  lists: CaseLists;
  network: Network;
};

/** Fixed member order, so that the same facts always give the same bytes. */
export function caseFile(facts: CaseFacts): { bytes: Uint8Array; digest: Digest } {
  const manifest = facts.manifest.predicate;
  const document: CaseFile = {
    schema: 'pht-case/v1',
    station: facts.station,
    manifestDigest: facts.manifest.digest,
    manifest,
    step: 'run',
    round: 1,
    dataset: { id: manifest.dataset, snapshotDigest: facts.snapshotDigest },
    policyDigest: facts.policyDigest,
    disclosureDigest: facts.disclosureDigest,
    lists: { researcher: [...facts.lists.researcher], image: [...facts.lists.image] },
    researcher: memberOf(facts.network, manifest.issuer, 'researcher'),
    dispatcher: memberOf(facts.network, facts.dispatcher, 'dispatcher'),
    recipients: recipientKeys(manifest, facts.network).map(({ member, jwk }) => ({ member, key: jwk.x })),
    expiresMs: manifest.expiresMs,
  };
  const bytes = Buffer.from(JSON.stringify(document));
  return { bytes, digest: digestOf(bytes) };
}
