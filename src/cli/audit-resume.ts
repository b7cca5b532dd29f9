import { createHmac, timingSafeEqual } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { loadKey, publicOf } from '../adapters/home/keys.ts';
import type { Home } from '../adapters/home/member.ts';
import type { AuditReport } from '../journey/auditor/audit.ts';
import type { LeftOpen } from '../journey/auditor/left-open.ts';
import type { Anchor } from '../journey/auditor/verify-log.ts';
import { keyIdOf } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import { DigestText, HopIdText, TrainIdText } from '../model/id.ts';
import { canonicalJson } from '../model/result/canonical.ts';
import { Sha256Hex, Slug, TimestampMs } from '../model/schema.ts';
import { passphrase } from './frame.ts';

/**
 * What binds an auditor's memory, and what `--new` goes on from. Each checkpoint has its member's signature, but nobody has
 * signed which were seen, nor what is still open: a code under a key of this home binds all of it.
 */

const Index = z.int().min(0);
const Quote = z.strictObject({ origin: z.string().max(200), index: Index, leafHash: DigestText });
const Text = z.string().max(4096);

const Hop = z.strictObject({
  hopId: HopIdText,
  trainId: TrainIdText.nullable(),
  manifestDigest: DigestText.nullable(),
  receivedAtMs: TimestampMs.nullable(),
  received: Index.nullable(),
  quote: Quote.nullable(),
  verified: Index.nullable(),
  decided: Index.nullable(),
  verdict: Text.nullable(),
  cleared: Index.nullable(),
  byPerson: z.boolean(),
  started: Index.nullable(),
  ended: Index.nullable(),
  screened: Index.nullable(),
  released: Index.nullable(),
  releasedAtMs: TimestampMs.nullable(),
  receipt: Index.nullable(),
  receiptDigest: Text.nullable(),
  outcome: Text.nullable(),
  receiptLeaf: DigestText.nullable(),
});
const OrderSeen = z.strictObject({
  station: Text.nullable(),
  manifestDigest: DigestText.nullable(),
  issued: Index,
  leaf: DigestText,
  receipt: z
    .strictObject({ index: Index, digest: Text, outcome: Text, atMs: TimestampMs, quote: Quote.nullable() })
    .nullable(),
});
const NetworkSeen = z.strictObject({
  version: z.int().min(1),
  rootVersion: z.int().min(0),
  digests: z.array(z.tuple([z.int().min(1), Text, Index])).max(1000),
});
const network = NetworkSeen.optional();
const Left = z.union([
  z.strictObject({
    network,
    station: z.strictObject({ hops: z.array(Hop), releases: z.array(z.tuple([z.string().max(64), Index])) }),
  }),
  z.strictObject({
    network,
    dispatcher: z.strictObject({
      orders: z.array(z.tuple([z.string().max(64), OrderSeen])),
      admitted: z.array(z.string().max(64)),
    }),
  }),
]);

export const Resume = z.record(
  Slug,
  z.strictObject({ peaks: z.array(Sha256Hex).max(64), newestMs: TimestampMs.nullable(), left: Left }),
);
export type Resume = z.infer<typeof Resume>;

/** `id` tells a memory that came from another home, or from before its key was replaced, from one that was altered. */
export type StateKey = { id: string; secret: Buffer };

/** The TLS key is in clear in every home that can dial; null in one that only reads copies. */
export async function stateKeyOf(home: Home): Promise<StateKey | null> {
  if (!existsSync(join(home.dir, 'keys', 'tls.jwk'))) return null;
  const jwk = await loadKey(home.dir, 'tls', passphrase);
  const secret = createHmac('sha256', Buffer.from(jwk.d, 'base64url'))
    .update('signalbox audit state v2')
    .digest();
  return { id: keyIdOf(publicOf(jwk)), secret };
}

/** Newest version of the network, and heads that were the newest under the ones before, oldest first. */
export const SeenNetwork = z.strictObject({ version: z.int().min(1), digest: Sha256Hex });
export const SeenHeads = z.record(Slug, z.array(z.string().min(1).max(10_000)).max(1000));

type Content = {
  networkId: string;
  logs: Readonly<Record<string, string>>;
  resume?: Resume | undefined;
  network?: z.infer<typeof SeenNetwork> | undefined;
  earlier?: z.infer<typeof SeenHeads> | undefined;
};

function macOf({ networkId, logs, resume, ...more }: Content, { id, secret }: StateKey): string {
  const { network, earlier } = more;
  // A file from before these were kept is bound without them.
  const also = {
    ...(network === undefined ? {} : { network }),
    ...(earlier === undefined ? {} : { earlier }),
  };
  const bound = canonicalJson({ networkId, logs, keyId: id, resume: resume ?? null, ...also });
  return createHmac('sha256', secret).update(bound).digest('hex');
}

/** Binds all of it: a checkpoint that is left out, or an older one, is signed by its member as well as the newest. */
export function bindState(content: Content, key: StateKey): { keyId: string; mac: string } {
  return { keyId: key.id, mac: macOf(content, key) };
}

/** @throws PhtError `input.malformed` when an audit of this home did not write it */
export function assertBound(
  content: Content & { keyId: string; mac: string },
  path: string,
  key: StateKey | null,
): void {
  if (key === null || content.keyId !== key.id)
    throw new PhtError('input.malformed', `${path} is bound by another key than this home has`);
  const mac = Buffer.from(macOf(content, key), 'hex');
  if (!timingSafeEqual(mac, Buffer.from(content.mac, 'hex')))
    throw new PhtError('input.malformed', `${path} is not what the last audit wrote`);
}

/** What the last audit left open, beside the tree of each log. */
export function openResume(
  resume: Resume,
  anchors: ReadonlyMap<string, Anchor>,
): { anchors: Map<string, Anchor>; open: Map<string, LeftOpen> } {
  const known = new Map(anchors);
  const open = new Map<string, LeftOpen>();
  for (const [member, { peaks, newestMs, left }] of Object.entries(resume)) {
    const anchor = anchors.get(member);
    if (anchor === undefined) continue;
    const range = { size: anchor.size, peaks: peaks.map((peak) => Buffer.from(peak, 'hex')) };
    known.set(member, { ...anchor, range, newestMs });
    open.set(member, openLeft(left));
  }
  return { anchors: known, open };
}

function openLeft({ network, ...left }: z.infer<typeof Left>): LeftOpen {
  return network === undefined ? left : { ...left, network };
}

/** @returns undefined where there is nothing to go on from: an audit that found something wrong finds it again */
export function resumeOf(report: AuditReport): Resume | undefined {
  if (report.failed) return undefined;
  const logs: Resume = {};
  for (const { member, head } of report.logs) {
    const left = report.left.get(member);
    if (head?.range == null || left === undefined) continue;
    const peaks = head.range.peaks.map((peak) => Buffer.from(peak).toString('hex'));
    logs[member] = { peaks, newestMs: head.newestMs, left: Left.parse(left) };
  }
  return logs;
}
