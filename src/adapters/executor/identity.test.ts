import { describe, expect, it } from 'vitest';
import { identityFrom, risksOf } from './identity.ts';

const VERSION = { Version: '26.1.5', Components: [{ Name: 'runc', Version: '1.1.15' }] };
const INFO = {
  KernelVersion: '6.1.0',
  Architecture: 'x86_64',
  NCPU: 2,
  DefaultRuntime: 'runc',
  SecurityOptions: ['name=seccomp,profile=builtin'],
};

describe('what an engine says it is', () => {
  it.each(['1.1.5+ds1-1+deb12u1', '1.2.7', '1.3.0', '1.3.2', '1.0.0~rc93'])(
    'runc %s is a known risk',
    (version) => {
      expect(risksOf('runc', version).map(({ id }) => id)).toEqual(['runc-break-outs']);
    },
  );

  it.each(['1.2.8', '1.2.9', '1.3.3', '1.3.4', '1.4.0', '2.0.0', 'v1.3.3'])('runc %s is not', (version) => {
    expect(risksOf('runc', version)).toEqual([]);
  });

  it('an unsaid version is a risk of its own, another runtime is not runc', () => {
    expect(risksOf(undefined, undefined).map(({ id }) => id)).toEqual(['runtime-unknown']);
    expect(risksOf('runc', 'soon').map(({ id }) => id)).toEqual(['runtime-unknown']);
    expect(risksOf('crun', undefined)).toEqual([]);
  });

  it('has a fingerprint that every change of engine, runtime or configuration changes', () => {
    const before = identityFrom(VERSION, INFO).fingerprint;
    expect(identityFrom(structuredClone(VERSION), { ...INFO, Containers: 7 }).fingerprint).toBe(before);
    const changed = [
      identityFrom({ ...VERSION, Version: '27.0.0' }, INFO),
      identityFrom({ ...VERSION, Components: [{ Name: 'runc', Version: '1.3.3' }] }, INFO),
      identityFrom(VERSION, { ...INFO, DefaultRuntime: 'runsc' }),
      identityFrom(VERSION, { ...INFO, SecurityOptions: [] }),
      identityFrom(VERSION, { ...INFO, CgroupVersion: '2' }),
      identityFrom(VERSION, { ...INFO, KernelVersion: '6.1.1' }),
    ].map(({ fingerprint }) => fingerprint);
    expect(new Set([before, ...changed]).size).toBe(changed.length + 1);
  });

  it('sees AppArmor, and refuses an engine that does not say what it is', () => {
    expect(identityFrom(VERSION, INFO).apparmor).toBe(false);
    expect(identityFrom(VERSION, { ...INFO, SecurityOptions: ['name=apparmor'] }).apparmor).toBe(true);
    expect(() => identityFrom({}, INFO)).toThrow(expect.objectContaining({ code: 'engine.unsafe' }));
    expect(() => identityFrom(VERSION, null)).toThrow(expect.objectContaining({ code: 'engine.unsafe' }));
  });
});
