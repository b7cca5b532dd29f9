import { createPrivateKey, sign } from 'node:crypto';
import { expect } from 'vitest';
import golden from '../../../test/vectors/tlog.json' with { type: 'json' };
import { PhtError } from '../error.ts';
import { appendEntries, EMPTY_EDGE, type ReadTile } from './append.ts';
import { leafHash } from './merkle.ts';
import type { NoteSigner } from './note.ts';
import { type TileFile, tilePath } from './tile.ts';
import { noteKey, parseVkey } from './vkey.ts';

/** Made by golang.org/x/mod/sumdb and transparency-dev/formats; see test/vectors/README.md. */
export { golden };

export function base64(text: string): Buffer {
  return Buffer.from(text, 'base64');
}

/** The first entries of the golden log. */
export function goldenEntries(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => Buffer.from(`{"i":${index},"kind":"vector"}`));
}

export function goldenLeaves(count: number): Uint8Array[] {
  return goldenEntries(count).map(leafHash);
}

const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');

function signWithSeed(seedByte: number): NoteSigner['sign'] {
  const der = Buffer.concat([PKCS8_ED25519, Buffer.alloc(32, seedByte)]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  return (message) => sign(null, message, key);
}

export const LOG_SIGNER: NoteSigner = { key: parseVkey(golden.vkey), sign: signWithSeed(7) };
export const WITNESS_SIGNER: NoteSigner = { key: parseVkey(golden.witnessVkey), sign: signWithSeed(9) };

/** The golden witness under another name: another signer with the same keys. */
export function renamed(signer: NoteSigner, name: string): NoteSigner {
  return { key: noteKey(name, signer.key.type, signer.key.publicKey), sign: signer.sign };
}

/** Files as a writer would have stored them, readable by tile. */
export function treeOf(entries: readonly Uint8Array[]): { files: Map<string, Uint8Array>; read: ReadTile } {
  return store(appendEntries(EMPTY_EDGE, entries).files);
}

export function store(
  written: readonly TileFile[],
  files: Map<string, Uint8Array> = new Map(),
): { files: Map<string, Uint8Array>; read: ReadTile } {
  for (const { tile, bytes } of written) files.set(tilePath(tile), bytes);
  const read: ReadTile = (tile) => {
    const bytes = files.get(tilePath(tile));
    if (bytes === undefined) throw new Error(`no file ${tilePath(tile)}`);
    return bytes;
  };
  return { files, read };
}

/** Runs `attempt`, which has to throw a PhtError, and gives its code. */
export function codeOf(attempt: () => unknown): string {
  try {
    attempt();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(PhtError);
    return thrown instanceof PhtError ? thrown.code : 'not a PhtError';
  }
  return 'nothing thrown';
}
