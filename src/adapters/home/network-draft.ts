import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type Envelope, encodeEnvelope, parseEnvelope } from '../../model/dsse.ts';
import type { NetworkDraft } from '../../model/network-draft.ts';
import { NETWORK_BYTES_MAX } from '../../model/network-news.ts';
import { parseWith } from '../../model/schema.ts';
import { readBounded, writeAtomic } from './files.ts';
import type { Home } from './member.ts';

/** `root-draft.json` and `members-draft.json`: what goes from holder to holder until enough keys have signed it. */

/** The list of before and the next one. */
const DRAFT_BYTES_MAX = 2 * NETWORK_BYTES_MAX;
const Draft = z
  .strictObject({
    v: z.literal(1),
    roots: z.array(z.json()).max(100),
    root: z.json().optional(),
    list: z.strictObject({ before: z.json().optional(), next: z.json() }).optional(),
  })
  .refine(({ root, list }) => root !== undefined || list !== undefined, 'it drafts nothing');

/** A list that comes with a root waits with it. */
export const draftPath = ({ dir }: Pick<Home, 'dir'>, { root }: Pick<NetworkDraft, 'root'>): string =>
  join(dir, root === undefined ? 'members-draft.json' : 'root-draft.json');

export const rootDraftPath = ({ dir }: Pick<Home, 'dir'>): string => join(dir, 'root-draft.json');

/** @throws PhtError `config.missing`, `input.too-large`, `input.malformed`, `statement.malformed` */
export function readDraft(path: string): NetworkDraft {
  return parseDraft(readBounded(path, DRAFT_BYTES_MAX, 'the draft'), path);
}

export function parseDraft(bytes: Uint8Array, what: string): NetworkDraft {
  const { roots, root, list } = parseWith(Draft, bytes, { bytesMax: DRAFT_BYTES_MAX, what });
  const envelope = (part: unknown, name: string): Envelope =>
    parseEnvelope(Buffer.from(JSON.stringify(part)), `${what}: ${name}`, NETWORK_BYTES_MAX);
  const before = list?.before === undefined ? {} : { before: envelope(list.before, 'the list before') };
  return {
    roots: roots.map((each) => envelope(each, 'a root')),
    ...(root === undefined ? {} : { root: envelope(root, 'a root') }),
    ...(list === undefined ? {} : { list: { ...before, next: envelope(list.next, 'the list') } }),
  };
}

export function writeDraft(path: string, draft: NetworkDraft): void {
  writeAtomic(path, encodeDraft(draft));
}

export function encodeDraft({ roots, root, list }: NetworkDraft): string {
  const text = (envelope: Envelope): string => Buffer.from(encodeEnvelope(envelope)).toString('utf8');
  const before = list?.before === undefined ? '' : `"before":${text(list.before)},\n`;
  return [
    `{"v":1,"roots":[${roots.map(text).join(',\n')}]`,
    ...(root === undefined ? [] : [`"root":${text(root)}`]),
    ...(list === undefined ? [] : [`"list":{${before}"next":${text(list.next)}}`]),
  ]
    .join(',\n')
    .concat('}\n');
}

export function dropDraft(home: Pick<Home, 'dir'>, draft: NetworkDraft): void {
  rmSync(draftPath(home, draft), { force: true });
}

/** Told by its first bytes, since a file may be long. */
export function isDraft(path: string, what: string): boolean {
  const head = Buffer.from(readBounded(path, DRAFT_BYTES_MAX, what).subarray(0, 64));
  return /^\s*\{\s*"v"\s*:\s*1\b/.test(head.toString('latin1'));
}
