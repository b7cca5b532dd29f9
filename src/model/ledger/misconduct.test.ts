import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { ed25519, type FakeNetwork, makeNetwork, memberIn, signerOf } from '../../../test/fakes/network.ts';
import { cosignCheckpoint, signCheckpoint } from './checkpoint.ts';
import { codeOf } from './golden.fixture.ts';
import { leafHash } from './merkle.ts';
import {
  conflictDigest,
  formatMisconduct,
  type Misconduct,
  misconductOf,
  onlySignedBy,
  parseMisconduct,
  verifyMisconduct,
} from './misconduct.ts';
import { addSignatures, formatNote, type NoteSigner, parseNote } from './note.ts';
import { ledgerOrigin, logKey, witnessKey } from './origin.ts';
import { parseVkey } from './vkey.ts';

let fake: FakeNetwork;
let origin: string;
let signer: NoteSigner;

const rootA = leafHash(Buffer.from('a'));
const rootB = leafHash(Buffer.from('b'));

beforeAll(async () => {
  fake = await makeNetwork();
  origin = ledgerOrigin(fake.network.id, 'dispatcher');
  signer = logSigner('dispatcher');
});

function logSigner(id: string): NoteSigner {
  const { log } = memberIn(fake, id).keys;
  const name = ledgerOrigin(fake.network.id, id);
  return { key: logKey(name, signerOf(log).publicJwk), sign: signerOf(log).sign };
}

function noted(size: number, root: Uint8Array, by: NoteSigner = signer): string {
  return signCheckpoint({ origin: by.key.name, size, root, extensions: [] }, by);
}

function cosigned(note: string): string {
  const { witness } = memberIn(fake, 'north').keys;
  const key = witnessKey(fake.network.id, 'north', signerOf(witness).publicJwk);
  const read = parseNote(note);
  return formatNote(
    addSignatures(read, [cosignCheckpoint(read.text, { key, sign: signerOf(witness).sign }, 7)]),
  );
}

function proof(): Misconduct {
  const notes = [cosigned(noted(5, rootA)), noted(5, rootB)] as const;
  return misconductOf(fake.network, { member: 'dispatcher', origin, size: 5, notes });
}

describe('the proof of misconduct', () => {
  test('is verified from the file with nothing but the verifier key', () => {
    const file = formatMisconduct(proof());
    const read = parseMisconduct(file);
    expect(read).toEqual(proof());
    verifyMisconduct(read, parseVkey(read.vkey));
    verifyMisconduct(read, signer.key);
    expect(Buffer.from(formatMisconduct(read))).toEqual(Buffer.from(file));
  });

  test('holds the signatures of the accused only', () => {
    for (const note of proof().notes)
      expect(parseNote(note).signatures.map(({ name }) => name)).toEqual([origin]);
  });

  test('anything that is no misconduct proves none', () => {
    const sound = proof();
    const other = logSigner('north');
    const wrong: [string, Misconduct][] = [
      ['the same root twice', { ...sound, notes: [noted(5, rootA), noted(5, rootA)] }],
      ['one head twice, cosigned once', { ...sound, notes: [noted(5, rootA), cosigned(noted(5, rootA))] }],
      ['two sizes', { ...sound, notes: [noted(5, rootA), noted(6, rootB)] }],
      ['another size than it says', { ...sound, size: 6 }],
      ['another member', { ...sound, member: 'north' }],
      ['another network', { ...sound, networkId: 'a'.repeat(64) }],
      ['another origin', { ...sound, origin: other.key.name }],
      ['a note of somebody else', { ...sound, notes: [noted(5, rootA), noted(5, rootB, other)] }],
      ['no note', { ...sound, notes: ['x', noted(5, rootB)] }],
      ['the same text signed by another key', { ...sound, notes: [sound.notes[0], forged()] }],
    ];
    for (const [what, misconduct] of wrong) {
      expect(
        codeOf(() => verifyMisconduct(misconduct, signer.key)),
        what,
      ).toBe('proof.invalid');
    }
    expect(codeOf(() => verifyMisconduct(sound, other.key))).toBe('proof.invalid');
    const impostor = { ...sound, vkey: proof().vkey.replace(/.{4}$/, 'AAA=') };
    expect(codeOf(() => verifyMisconduct(impostor, signer.key))).toBe('proof.invalid');
  });

  function forged(): string {
    const sign = signerOf(ed25519()).sign;
    const { text, signatures } = parseNote(noted(5, rootB));
    return formatNote({
      text,
      signatures: signatures.map((one) => ({ ...one, signature: sign(Buffer.from(text)) })),
    });
  }

  test('is not made of what proves nothing', () => {
    const claim = { member: 'dispatcher', origin, size: 5 };
    const same = [noted(5, rootA), noted(5, rootA)] as const;
    expect(codeOf(() => misconductOf(fake.network, { ...claim, notes: same }))).toBe('proof.invalid');
    expect(codeOf(() => misconductOf(fake.network, { ...claim, notes: [noted(5, rootA), forged()] }))).toBe(
      'signature.invalid',
    );
    const notes = [noted(5, rootA), noted(5, rootB)] as const;
    expect(codeOf(() => misconductOf(fake.network, { ...claim, member: 'nobody', notes }))).toBe(
      'signer.unknown',
    );
  });

  describe('of a log that has rotated its key', () => {
    const rotated = async (change: { invalidAfterMs?: number } = {}) => {
      const made = await makeNetwork();
      const name = ledgerOrigin(made.network.id, 'dispatcher');
      const keysOf = (jwk: ReturnType<typeof ed25519>): NoteSigner => {
        const { sign, publicJwk } = signerOf(jwk);
        return { key: logKey(name, publicJwk), sign };
      };
      const log = ed25519();
      const listed = made.network.members.get('dispatcher');
      if (listed === undefined) throw new Error('no dispatcher');
      const member = { ...listed, keys: { ...listed.keys, log: signerOf(log).publicJwk } };
      const { network } = made.next({ renewed: [{ member, ...change }] });
      const [old, now] = [keysOf(memberIn(made, 'dispatcher').keys.log), keysOf(log)];
      const pair = (first: NoteSigner, second: NoteSigner) => ({
        ...{ member: 'dispatcher', origin: name, size: 5 },
        notes: [noted(5, rootA, first), noted(5, rootB, second)] as const,
      });
      return { network, old, now, pair };
    };

    test('two roots convict it whichever of the two keys signed them', async () => {
      const { network, old, now, pair } = await rotated();
      for (const [first, second] of [
        [old, now],
        [now, old],
        [old, old],
        [now, now],
      ] as const) {
        const read = parseMisconduct(formatMisconduct(misconductOf(network, pair(first, second))));
        verifyMisconduct(read, [old.key, now.key]);
        expect(read.secondVkey === undefined).toBe(first === second);
        const other = first === old ? now : old;
        expect(codeOf(() => verifyMisconduct(read, other.key))).toBe('proof.invalid');
      }
    });

    test('a key that was in other hands convicts nobody', async () => {
      const { network, old, now, pair } = await rotated({ invalidAfterMs: 1 });
      expect(codeOf(() => misconductOf(network, pair(old, now)))).toBe('signer.unknown');
      expect(misconductOf(network, pair(now, now)).vkey).toBeDefined();
    });
  });

  test('a file that is damaged or spelled otherwise is refused', () => {
    const file = Buffer.from(formatMisconduct(proof()));
    const value = JSON.parse(file.toString()) as Record<string, unknown>;
    const spelled = (change: object): Uint8Array =>
      Buffer.from(`${JSON.stringify({ ...value, ...change })}\n`);
    expect(() => parseMisconduct(spelled({}))).not.toThrow();
    for (const bytes of [
      file.subarray(0, -1),
      Buffer.from(JSON.stringify(value, null, 2)),
      spelled({ more: 1 }),
      spelled({ schema: 'pht-misconduct/v2' }),
      spelled({ size: -1 }),
      spelled({ size: 1.5 }),
      spelled({ notes: [proof().notes[0]] }),
      spelled({ notes: ['x'.repeat(20_000), 'y'] }),
      Buffer.alloc(200_000, 32),
    ]) {
      expect(['proof.invalid', 'input.malformed', 'input.too-large']).toContain(
        codeOf(() => parseMisconduct(bytes)),
      );
    }
    fc.assert(
      fc.property(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = Buffer.from(file);
        damaged[at] = (damaged[at] ?? 0) ^ change;
        const code = codeOf(() => verifyMisconduct(parseMisconduct(damaged), signer.key));
        expect(['proof.invalid', 'input.malformed']).toContain(code);
      }),
      { numRuns: 500 },
    );
  });
});

describe('the name of a conflict', () => {
  test('is the same whichever head was seen first and whoever cosigned', () => {
    const [a, b] = [noted(5, rootA), noted(5, rootB)];
    const digest = conflictDigest({ origin, size: 5, notes: [a, b] });
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    expect(conflictDigest({ origin, size: 5, notes: [b, a] })).toBe(digest);
    expect(conflictDigest({ origin, size: 5, notes: [cosigned(a), b] })).toBe(digest);
    expect(conflictDigest({ origin, size: 5, notes: [a, noted(5, leafHash(Buffer.from('c')))] })).not.toBe(
      digest,
    );
  });

  test('a note without its ledger’s signature is not stripped to it', () => {
    expect(codeOf(() => onlySignedBy(noted(5, rootA), logSigner('north').key))).toBe('signature.invalid');
    expect(codeOf(() => onlySignedBy('x', signer.key))).toBe('ledger.invalid');
  });
});
