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
 * What `--new` goes on from. The peaks of each tree are bound by its signed checkpoint; nobody has signed what is still
 * open, so a code under a key of this home binds that: whoever alters the file without that key is found out.
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
  receiptLeaf: DigestText.nullable(),
});
const OrderSeen = z.strictObject({
  station: Text.nullable(),
  issued: Index,
  leaf: DigestText,
  receipt: z
    .strictObject({ index: Index, digest: Text, atMs: TimestampMs, quote: Quote.nullable() })
    .nullable(),
});
const Left = z.union([
  z.strictObject({
    station: z.strictObject({ hops: z.array(Hop), releases: z.array(z.tuple([z.string().max(64), Index])) }),
  }),
  z.strictObject({
    dispatcher: z.strictObject({
      orders: z.array(z.tuple([z.string().max(64), OrderSeen])),
      admitted: z.array(z.string().max(64)),
    }),
  }),
]);

export const Resume = z.strictObject({
  keyId: Sha256Hex,
  mac: Sha256Hex,
  logs: z.record(
    Slug,
    z.strictObject({ peaks: z.array(Sha256Hex).max(64), newestMs: TimestampMs.nullable(), left: Left }),
  ),
});
export type Resume = z.infer<typeof Resume>;

/** `id` names the key, so that one that was renewed is not taken for tampering. */
export type ResumeKey = { id: string; secret: Buffer };

/** The TLS key is in clear in every home that can dial; null in one that only reads copies. */
export async function resumeKeyOf(home: Home): Promise<ResumeKey | null> {
  if (!existsSync(join(home.dir, 'keys', 'tls.jwk'))) return null;
  const jwk = await loadKey(home.dir, 'tls', passphrase);
  const secret = createHmac('sha256', Buffer.from(jwk.d, 'base64url'))
    .update('signalbox audit state v1')
    .digest();
  return { id: keyIdOf(publicOf(jwk)), secret };
}

type Bound = {
  networkId: string;
  logs: Readonly<Record<string, string>>;
  resume: Pick<Resume, 'keyId' | 'logs'>;
};

function macOf({ networkId, logs, resume }: Bound, { secret }: ResumeKey): string {
  const { keyId, logs: left } = resume;
  return createHmac('sha256', secret).update(canonicalJson({ networkId, logs, keyId, left })).digest('hex');
}

/**
 * What the last audit left open, beside the tree of each log.
 *
 * @returns null where it was bound under another key: then everything is read anew
 * @throws PhtError `input.malformed` when it is not what an audit of this home wrote
 */
export function openResume(
  state: { networkId: string; logs: Readonly<Record<string, string>>; resume: Resume },
  anchors: ReadonlyMap<string, Anchor>,
  key: ResumeKey | null,
): { anchors: Map<string, Anchor>; open: Map<string, LeftOpen> } | null {
  const { resume } = state;
  if (key === null || resume.keyId !== key.id) return null;
  const mac = Buffer.from(macOf(state, key), 'hex');
  if (!timingSafeEqual(mac, Buffer.from(resume.mac, 'hex')))
    throw new PhtError('input.malformed', 'what it says was left open is not what the last audit wrote');
  const known = new Map(anchors);
  const open = new Map<string, LeftOpen>();
  for (const [member, { peaks, newestMs, left }] of Object.entries(resume.logs)) {
    const anchor = anchors.get(member);
    if (anchor === undefined) continue;
    const range = { size: anchor.size, peaks: peaks.map((peak) => Buffer.from(peak, 'hex')) };
    known.set(member, { ...anchor, range, newestMs });
    open.set(member, left);
  }
  return { anchors: known, open };
}

/** @returns undefined where there is nothing to go on from: an audit that found something wrong finds it again */
export function resumeOf(
  report: AuditReport,
  state: { networkId: string; logs: Readonly<Record<string, string>> },
  key: ResumeKey | null,
): Resume | undefined {
  if (report.failed || key === null) return undefined;
  const logs: Resume['logs'] = {};
  for (const { member, head } of report.logs) {
    const left = report.left.get(member);
    if (head?.range == null || left === undefined) continue;
    const peaks = head.range.peaks.map((peak) => Buffer.from(peak).toString('hex'));
    logs[member] = { peaks, newestMs: head.newestMs, left: Left.parse(left) };
  }
  const resume = { keyId: key.id, logs };
  return { ...resume, mac: macOf({ ...state, resume }, key) };
}
