import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { type FakeNetwork, makeNetwork, memberIn } from '../../test/fakes/network.ts';
import { makeImage, makeTrain } from '../../test/fakes/trains.ts';
import { CLEARANCE_BYTES_MAX } from './clearance.ts';
import { encodeEnvelope, parseEnvelope, payloadOf } from './dsse.ts';
import { PhtError } from './error.ts';
import { codeDigestOf } from './image-code.ts';
import { verifyImageConfig } from './image-config.ts';
import {
  coversImage,
  misfitOf,
  STANDING_LIFETIME_MS_MAX,
  type StandingPredicate,
  StandingPredicate as StandingSchema,
  termsDigestOf,
  termsOf,
  verifyStanding,
} from './standing.ts';
import { readStatement, signStatement } from './statement.ts';
import { type Manifest, Manifest as ManifestSchema } from './train.ts';

const NOW = Date.UTC(2026, 5, 1, 12);
const DAY_MS = 86_400_000;

let fake: FakeNetwork;
let manifest: Manifest;
beforeAll(async () => {
  fake = await makeNetwork({ admins: { nora: 'north' }, nowMs: NOW });
  const { envelope } = makeTrain(fake, makeImage().image, NOW);
  manifest = readStatement('manifest', ManifestSchema, payloadOf(envelope)).predicate;
});

const about = (changes: Partial<Manifest> = {}) => ({
  manifest: { ...manifest, ...changes },
  policyDigest: 'a'.repeat(64),
  disclosureDigest: 'b'.repeat(64),
});

function predicate(changes: Partial<StandingPredicate> = {}): StandingPredicate {
  return {
    ...{ networkId: fake.network.id, networkVersion: 1, issuer: 'nora', station: 'north' },
    ...termsOf(about(), { image: manifest.image.configDigest }),
    ...{ runsMax: 3, reason: 'fine', issuedAtMs: NOW, expiresMs: NOW + DAY_MS, ...changes },
  };
}

function signed(changes: Partial<StandingPredicate> = {}) {
  const said = predicate(changes);
  const subject = { name: 'terms', digest: termsDigestOf(said) };
  return signStatement('standing', subject, said, memberIn(fake, 'nora').signer).envelope;
}
const at = () => ({ network: fake.network, station: 'north', nowMs: NOW });

describe('terms', () => {
  test('are the same whoever says them, when and why', () => {
    const digest = termsDigestOf(predicate());
    for (const same of [{ issuer: 'nils' }, { issuedAtMs: NOW + 1 }, { reason: 'x' }, { networkVersion: 2 }])
      expect(termsDigestOf(predicate(same))).toBe(digest);
  });

  test('differ with anything else', () => {
    const digest = termsDigestOf(predicate());
    const changes: Partial<StandingPredicate>[] = [
      { station: 'south' },
      { researcher: 'rolf' },
      { dataset: 'copd' },
      { recipients: ['carla'] },
      { outputKinds: ['LinearAggregations'] },
      { limits: { ...manifest.limits, pidsMax: 17 } },
      { duo: [] },
      { minCellCount: 7 },
      { policyDigest: 'c'.repeat(64) },
      { disclosureDigest: 'c'.repeat(64) },
      { runsMax: 4 },
      { expiresMs: NOW + 2 * DAY_MS },
      { scope: { image: 'c'.repeat(64) } },
      { scope: { code: manifest.image.configDigest, layers: ['d'.repeat(64)] } },
      { networkId: 'c'.repeat(64) },
    ];
    const digests = changes.map((change) => termsDigestOf(predicate(change)));
    expect(new Set([digest, ...digests]).size).toBe(changes.length + 1);
  });

  test('fit the case that they were made of, in any order of its own', () => {
    expect(misfitOf(predicate(), about())).toBeNull();
    const duo = ['DUO:0000042', 'DUO:0000006'];
    const purpose = { ...manifest.purpose, duo };
    const said = predicate(termsOf(about({ purpose }), { image: manifest.image.configDigest }));
    expect(misfitOf(said, about({ purpose: { ...purpose, duo: [...duo].reverse() } }))).toBeNull();
    expect(misfitOf(said, about())).toBe('another use (DUO)');
  });

  test('allow each limit by itself to be lower and none to be higher', () => {
    for (const name of Object.keys(manifest.limits) as (keyof Manifest['limits'])[]) {
      const with_ = (more: number) =>
        about({ limits: { ...manifest.limits, [name]: manifest.limits[name] + more } });
      expect(misfitOf(predicate(), with_(-1))).toBeNull();
      expect(misfitOf(predicate(), with_(1))).toContain(name);
    }
  });
});

describe('an image is covered', () => {
  const { image, blobs } = makeImage();
  const config = verifyImageConfig(blobs.get(image.configDigest) ?? new Uint8Array(), image);
  const scope = () => ({
    code: codeDigestOf(config, image) as string,
    layers: image.layers.map(({ diffId }) => diffId),
  });

  test('by itself', () => {
    expect(coversImage({ scope: { image: image.configDigest } }, { ...manifest, image }, null)).toBe(true);
    expect(coversImage({ scope: { image: 'a'.repeat(64) } }, { ...manifest, image }, null)).toBe(false);
  });

  test('by its code, with its config at hand and on the layers that were looked at', () => {
    expect(coversImage({ scope: scope() }, { ...manifest, image }, config)).toBe(true);
    expect(coversImage({ scope: scope() }, { ...manifest, image }, null)).toBe(false);
    expect(coversImage({ scope: scope() }, { ...manifest, image }, { ...config, entrypoint: ['/x'] })).toBe(
      false,
    );
    const base = { diffId: 'e'.repeat(64), bytes: 9 };
    const wider = { ...image, layers: [base, ...image.layers] };
    expect(coversImage({ scope: scope() }, { ...manifest, image: wider }, config)).toBe(false);
  });
});

describe('a standing clearance', () => {
  test('is taken for as long as it says', () => {
    expect(verifyStanding(signed(), at())).toMatchObject({ person: 'nora', predicate: { runsMax: 3 } });
    const late = { ...at(), nowMs: NOW + DAY_MS };
    expect(() => verifyStanding(signed(), late)).toThrow(
      expect.objectContaining({ code: 'clearance.expired' }),
    );
  });

  test('ends within a year', () => {
    const expiresMs = NOW + STANDING_LIFETIME_MS_MAX;
    expect(verifyStanding(signed({ expiresMs }), at()).predicate.expiresMs).toBe(expiresMs);
    expect(() => verifyStanding(signed({ expiresMs: expiresMs + 1 }), at())).toThrow(
      expect.objectContaining({ code: 'clearance.invalid' }),
    );
  });

  test('with as many layers, readers and words as there may be fits its bound', () => {
    const layers = Array.from({ length: 128 }, (_, index) => index.toString(16).padStart(64, '0'));
    const said = predicate({
      scope: { code: 'a'.repeat(64), layers },
      recipients: Array.from({ length: 8 }, (_, index) => `${index}`.padStart(40, 'a')).sort(),
      duo: Array.from({ length: 20 }, (_, index) => `DUO:${String(index).padStart(7, '0')}`),
      reason: '\u{1f600}'.repeat(500),
    });
    expect(StandingSchema.safeParse(said).success).toBe(true);
    const subject = { name: 'terms', digest: termsDigestOf(said) };
    const { envelope } = signStatement('standing', subject, said, memberIn(fake, 'nora').signer);
    expect(encodeEnvelope(envelope).byteLength).toBeLessThan(CLEARANCE_BYTES_MAX);
  });

  test('whatever bytes come: it verifies or ends in an error of ours', () => {
    const good = Buffer.from(encodeEnvelope(signed()));
    const text = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc.json().map((json) => Buffer.from(json)),
      fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([place, byte]) => {
        const changed = Buffer.from(good);
        changed[place] = byte;
        return changed;
      }),
    );
    fc.assert(
      fc.property(text, (bytes) => {
        try {
          const { predicate: said } = verifyStanding(parseEnvelope(bytes, 'it', CLEARANCE_BYTES_MAX), at());
          expect(said).toEqual(predicate());
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(PhtError);
          expect((thrown as PhtError).code).not.toBe('internal');
        }
      }),
      { numRuns: 500 },
    );
  });

  test('whatever members its predicate has: only those that are named are taken', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...(Object.keys(predicate()) as (keyof StandingPredicate)[])),
        fc.jsonValue(),
        (name, value) => {
          const said = { ...predicate(), [name]: value };
          const read = StandingSchema.safeParse(said);
          if (read.success) expect(read.data).toEqual(said);
          expect(StandingSchema.safeParse({ ...said, also: 1 }).success).toBe(false);
        },
      ),
    );
  });
});
