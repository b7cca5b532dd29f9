import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PhtError } from './error.ts';
import { digestOf } from './id.ts';
import { readImageConfig, verifyImageConfig } from './image-config.ts';
import type { TrainImage } from './train.ts';

const DIFF_ID = 'ab'.repeat(32);
const bytes = (config: unknown, more: Record<string, unknown> = {}): Buffer =>
  Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config,
      rootfs: { type: 'layers', diff_ids: [`sha256:${DIFF_ID}`] },
      ...more,
    }),
  );
const SOUND = {
  Entrypoint: ['/bin/sh'],
  Cmd: ['-c', 'true'],
  Env: ['PATH=/bin'],
  WorkingDir: '/srv',
  Labels: { a: 'b' },
};
const imageOf = (config: Buffer): TrainImage => ({
  configDigest: digestOf(config),
  configBytes: config.byteLength,
  platform: 'linux/amd64',
  layers: [{ diffId: DIFF_ID, bytes: 10 }],
});

describe('the config of an image', () => {
  it('is read as the engine would apply it', () => {
    expect(readImageConfig(bytes(SOUND))).toEqual({
      entrypoint: ['/bin/sh', '-c', 'true'],
      workingDir: '/srv',
      env: ['PATH=/bin'],
      user: '',
      labels: { a: 'b' },
      platform: 'linux/amd64',
      diffIds: [DIFF_ID],
    });
    expect(readImageConfig(bytes({ Cmd: ['/x'], WorkingDir: '' })).workingDir).toBe('/');
  });

  it.each([
    ['a working directory in /proc', { ...SOUND, WorkingDir: '/proc/self/fd/8' }],
    ['one that hides it', { ...SOUND, WorkingDir: '/./proc//self' }],
    ['one that climbs', { ...SOUND, WorkingDir: '/srv/../proc/self' }],
    ['one in /sys', { ...SOUND, WorkingDir: '/sys' }],
    ['a relative one', { ...SOUND, WorkingDir: 'srv' }],
    ['volumes', { ...SOUND, Volumes: { '/data': {} } }],
    ['triggers', { ...SOUND, OnBuild: ['RUN x'] }],
    ['no program', { Env: [] }],
    ['a NUL', { ...SOUND, Env: ['A=\0'] }],
    ['an environment without names', { ...SOUND, Env: ['=x'] }],
  ])('is refused with %s', (_what, config) => {
    expect(() => readImageConfig(bytes(config))).toThrow(expect.objectContaining({ code: 'image.unsafe' }));
  });

  it('must be the signed one, of the signed platform, with the signed layers', () => {
    const config = bytes(SOUND);
    const mismatch = expect.objectContaining({ code: 'image.mismatch' });
    expect(verifyImageConfig(config, imageOf(config)).workingDir).toBe('/srv');
    expect(() => verifyImageConfig(Buffer.concat([config, Buffer.from(' ')]), imageOf(config))).toThrow(
      mismatch,
    );
    expect(() => verifyImageConfig(config, { ...imageOf(config), platform: 'linux/arm64' })).toThrow(
      mismatch,
    );
    expect(() =>
      verifyImageConfig(config, { ...imageOf(config), layers: [{ diffId: 'cd'.repeat(32), bytes: 1 }] }),
    ).toThrow(mismatch);
    const twice = imageOf(config);
    expect(() => verifyImageConfig(config, { ...twice, layers: [...twice.layers, ...twice.layers] })).toThrow(
      mismatch,
    );
  });

  it('is never half-read from anything else', () => {
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(anything, (noise) => {
        expect(() => readImageConfig(noise)).toThrow(PhtError);
      }),
    );
  });
});
