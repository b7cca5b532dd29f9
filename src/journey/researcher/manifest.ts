import { randomBytes } from 'node:crypto';
import { PhtError } from '../../model/error.ts';
import { memberOf, type Network } from '../../model/network.ts';
import { check, type X25519PublicJwk } from '../../model/schema.ts';
import { LIFETIME_MS_DEFAULT, LIFETIME_MS_MAX, Manifest, type TrainImage } from '../../model/train.ts';
import type { TrainFile } from '../../model/train-file.ts';

/** From the author's file and the researcher's choices to the statement that is signed. */

/** `stops`: the final choice. Everything else replaces what the file says. */
export type Choices = {
  stops: readonly string[];
  minStations?: number;
  dataset?: string;
  lifetimeMs?: number;
  /** `name=value` as typed. */
  parameters: readonly string[];
};

export type ManifestDraft = Omit<Manifest, 'image' | 'recipients'>;

const DraftSchema = Manifest.omit({ image: true, recipients: true });

/**
 * Everything but the image and the key, checked before anything is built.
 *
 * @throws PhtError `usage.invalid`, `manifest.too-long`, `signer.unknown`
 */
export function draftManifest(
  file: TrainFile,
  choices: Choices,
  researcher: { id: string; network: Network },
  nowMs: number,
): ManifestDraft {
  const { network, id } = researcher;
  memberOf(network, id, 'researcher');
  for (const stop of choices.stops) assertStation(network, stop);
  const minStations = choices.minStations ?? file.route.minStations;
  if (minStations > choices.stops.length) {
    throw new PhtError(
      'usage.invalid',
      `the train wants ${minStations} stations at least and has ${choices.stops.length} stops`,
      { hint: 'name more stops, or lower the number with --min-stations' },
    );
  }
  const lifetimeMs = choices.lifetimeMs ?? LIFETIME_MS_DEFAULT;
  if (lifetimeMs > LIFETIME_MS_MAX) {
    throw new PhtError('manifest.too-long', 'a manifest is valid for 90 days at most');
  }
  const { pattern, deadlineMs } = file.route;
  const draft = {
    networkId: network.id,
    networkVersion: network.version,
    issuer: id,
    title: file.title,
    purpose: file.purpose,
    dataset: choices.dataset ?? file.dataset,
    parameters: applyChoices(file.parameters, choices.parameters),
    route: { pattern, stops: [...choices.stops], minStations, deadlineMs },
    limits: file.limits,
    outputs: { schema: 'pht-result/v1', ...file.outputs },
    combine: file.combine,
    nonce: randomBytes(16).toString('hex'),
    issuedAtMs: nowMs,
    expiresMs: nowMs + lifetimeMs,
  };
  return check(DraftSchema, draft, 'the manifest', 'usage.invalid');
}

export function finishManifest(draft: ManifestDraft, image: TrainImage, key: X25519PublicJwk): Manifest {
  const { kty, crv, x } = key;
  // The private half must never be signed along.
  const recipients = [{ member: draft.issuer, jwk: { kty, crv, x } }];
  return check(Manifest, { ...draft, image, recipients }, 'the manifest', 'manifest.invalid');
}

function assertStation(network: Network, id: string): void {
  if (network.members.get(id)?.role === 'station') return;
  throw new PhtError('usage.invalid', `${id} is not a station of this network`, {
    hint: 'pht network datasets lists the stations',
  });
}

type Parameters = Manifest['parameters'];

/** A parameter keeps its type: `event=1` stays the text "1" where the file has a text. */
export function applyChoices(parameters: Parameters, choices: readonly string[]): Parameters {
  const chosen: Parameters = { ...parameters };
  for (const choice of choices) {
    const at = choice.indexOf('=');
    const name = choice.slice(0, Math.max(at, 0));
    const known = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
    if (at < 1 || known === undefined) {
      throw new PhtError(
        'usage.invalid',
        `--set takes name=value with a name that train.yaml has, not ${choice}`,
        {
          hint: `it has: ${Object.keys(parameters).join(', ') || 'none'}`,
        },
      );
    }
    const text = choice.slice(at + 1);
    chosen[name] = typeof known === 'string' ? text : jsonOf(name, text, known);
  }
  return chosen;
}

function jsonOf(name: string, text: string, known: Parameters[string]): Parameters[string] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PhtError(
      'usage.invalid',
      `--set ${name}: the value is not JSON, as a ${kindOf(known)} must be`,
      { cause },
    );
  }
  if (kindOf(value) !== kindOf(known)) {
    throw new PhtError('usage.invalid', `--set ${name} takes a ${kindOf(known)}, not a ${kindOf(value)}`);
  }
  return value as Parameters[string];
}

function kindOf(value: unknown): string {
  return Array.isArray(value) ? 'list' : typeof value;
}
