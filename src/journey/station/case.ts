import { type CaseLists, caseFile } from '../../model/case-file.ts';
import type { Digest } from '../../model/id.ts';
import { listsWith } from '../../model/lists.ts';
import { type DisclosureSettings, disclosureDigest, tighten } from '../../model/result/settings.ts';
import type { Manifest, VerifiedManifest } from '../../model/train.ts';
import type { Policy } from '../../ports/policy.ts';
import type { Station } from './stages.ts';

/** Which of this station's own lists name the train's researcher and its image. */
export function listsOf(manifest: Pick<Manifest, 'issuer' | 'image'>, station: Station): CaseLists {
  const { researchers, images } = station.lists();
  return {
    researcher: listsWith(researchers, manifest.issuer),
    image: listsWith(images, manifest.image.configDigest),
  };
}

/** A train may tighten what the station asks for. */
export function disclosureFor(
  { outputs }: Pick<Manifest, 'outputs'>,
  station: Pick<Station, 'disclosure'>,
): DisclosureSettings {
  return tighten(station.disclosure(), outputs.minCellCount);
}

/** The case as it is now: whoever decides, clears or releases computes it anew from the same facts. */
export function currentCase(
  about: { manifest: VerifiedManifest; dispatcher: string; snapshotDigest: string },
  station: Station,
  policy: Policy,
): { bytes: Uint8Array; digest: Digest; disclosure: DisclosureSettings } {
  const { predicate } = about.manifest;
  const disclosure = disclosureFor(predicate, station);
  const file = caseFile({
    ...about,
    station: station.id,
    policyDigest: policy.digest,
    disclosureDigest: disclosureDigest(disclosure),
    lists: listsOf(predicate, station),
    network: station.network(),
  });
  return { ...file, disclosure };
}
