import { createOpener } from '../adapters/envelope/jwe.ts';
import { readBounded } from '../adapters/home/files.ts';
import { loadFormerKeys } from '../adapters/home/key-rotation.ts';
import { loadKey } from '../adapters/home/keys.ts';
import type { Home } from '../adapters/home/member.ts';
import type { VerifiedDisclosure } from '../journey/auditor/disclosed.ts';
import { verifyDisclosure } from '../model/disclosure.ts';
import { parseEnvelope } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import { parseStrictJson } from '../model/json.ts';
import { LOOKING_BACK, type Network } from '../model/network.ts';
import { passphrase } from './frame.ts';

const FILE_BYTES_MAX = 2 * 1024 * 1024;

/**
 * Disclosures as stations made them, sealed to this auditor, or as another auditor opened them: signed either way.
 *
 * @throws PhtError `envelope.invalid` for one that is sealed to somebody else, `proof.invalid`, `signature.invalid`
 */
export async function readDisclosures(
  paths: readonly string[],
  home: Home,
  network: Network,
): Promise<VerifiedDisclosure[]> {
  const read: VerifiedDisclosure[] = [];
  for (const path of paths) {
    const bytes = readBounded(path, FILE_BYTES_MAX, 'a disclosure');
    const signed = isEnvelope(bytes, path) ? bytes : await opened(bytes, home);
    const disclosure = verifyDisclosure(parseEnvelope(signed, path), network, LOOKING_BACK);
    const { issuer, trainId } = disclosure.predicate;
    if (read.some(({ predicate }) => predicate.issuer === issuer && predicate.trainId === trainId))
      throw new PhtError('usage.invalid', `${path} is a second disclosure of ${trainId} by ${issuer}`);
    read.push(disclosure);
  }
  return read;
}

async function opened(bytes: Uint8Array, home: Home): Promise<Uint8Array> {
  const jwk = await loadKey(home.dir, 'encryption', passphrase);
  try {
    return await createOpener(jwk).open(bytes);
  } catch (thrown) {
    if (!(thrown instanceof PhtError) || thrown.code !== 'envelope.invalid') throw thrown;
    return openedByFormer(bytes, home, thrown);
  }
}

/** It may have been sealed before this member's keys were replaced. */
async function openedByFormer(bytes: Uint8Array, home: Home, failure: PhtError): Promise<Uint8Array> {
  for (const jwk of await loadFormerKeys(home, 'encryption', passphrase)) {
    try {
      return await createOpener(jwk).open(bytes);
    } catch (thrown) {
      if (!(thrown instanceof PhtError) || thrown.code !== 'envelope.invalid') throw thrown;
    }
  }
  throw failure;
}

function isEnvelope(bytes: Uint8Array, path: string): boolean {
  const value = parseStrictJson(bytes, { bytesMax: FILE_BYTES_MAX, what: path });
  return value !== null && typeof value === 'object' && 'payloadType' in value;
}
