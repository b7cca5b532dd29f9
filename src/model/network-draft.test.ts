import { describe, expect, it } from 'vitest';
import { ed25519, publicOf, signerOf } from '../../test/fakes/network.ts';
import { digestOf } from './id.ts';
import { assertUnchanged, type DraftPart, signaturesOf } from './network-draft.ts';
import { cosignStatement, signStatement } from './statement.ts';

const [old, next, stranger] = [ed25519(), ed25519(), ed25519()];
const role = (...keys: (typeof old)[]) => ({ keys: keys.map(publicOf), threshold: keys.length });
const subject = { name: 'network', digest: digestOf('a network') };
const { envelope } = signStatement('root', subject, {}, signerOf(old));
const part = (by: DraftPart['by'], signed = envelope): DraftPart => ({ role: 'root', envelope: signed, by });

describe('a root that names other holders than the one before', () => {
  it('needs enough of the old ones and enough of the new ones', () => {
    const by = [role(old), role(next)];
    expect(signaturesOf(part(by))).toEqual({ signed: 1, isEnough: false });
    const both = cosignStatement(envelope, signerOf(next));
    expect(signaturesOf(part(by, both))).toEqual({ signed: 2, isEnough: true });
    expect(signaturesOf(part([role(old, next)], cosignStatement(envelope, signerOf(old))))).toEqual({
      ...{ signed: 1, isEnough: false },
    });
  });

  it('is signed by nobody else', () => {
    const more = cosignStatement(envelope, signerOf(stranger));
    expect(() => assertUnchanged([part([role(old), role(next)], more)])).toThrow('does not fit');
    expect(() => assertUnchanged([part([role(old), role(next)])])).not.toThrow();
  });
});
