import { join } from 'node:path';
import { z } from 'zod';
import { type Envelope, encodeEnvelope, parseEnvelope } from '../../model/dsse.ts';
import { NETWORK_BYTES_MAX } from '../../model/network-news.ts';
import { parseWith } from '../../model/schema.ts';
import { readBounded, writeAtomic } from './files.ts';
import type { Home } from './member.ts';

/** `root-draft.json`: a root that too few of its key holders have signed so far, and the roots before it. */

export type RootDraft = { readonly roots: readonly Envelope[]; readonly root: Envelope };

const DRAFT_BYTES_MAX = 4 * 1024 * 1024;
const Draft = z.strictObject({ v: z.literal(1), roots: z.array(z.json()).max(100), root: z.json() });

export const draftPath = ({ dir }: Pick<Home, 'dir'>): string => join(dir, 'root-draft.json');

/** @throws PhtError `config.missing`, `input.too-large`, `input.malformed`, `statement.malformed` */
export function readRootDraft(path: string): RootDraft {
  const bytes = readBounded(path, DRAFT_BYTES_MAX, 'the draft of a root');
  return parseRootDraft(bytes, path);
}

export function parseRootDraft(bytes: Uint8Array, what: string): RootDraft {
  const { roots, root } = parseWith(Draft, bytes, { bytesMax: DRAFT_BYTES_MAX, what });
  const envelope = (part: unknown): Envelope =>
    parseEnvelope(Buffer.from(JSON.stringify(part)), `${what}: a root`);
  return { roots: roots.map(envelope), root: envelope(root) };
}

export function writeRootDraft(path: string, { roots, root }: RootDraft): void {
  const text = (envelope: Envelope): string => Buffer.from(encodeEnvelope(envelope)).toString('utf8');
  writeAtomic(path, `{"v":1,"roots":[${roots.map(text).join(',\n')}],\n"root":${text(root)}}\n`);
}

/** Told by its first bytes, since a network file is a hundred times as large. */
export function isRootDraft(path: string): boolean {
  const head = Buffer.from(readBounded(path, NETWORK_BYTES_MAX, 'the network file').subarray(0, 64));
  return /^\s*\{\s*"v"\s*:\s*1\b/.test(head.toString('latin1'));
}
