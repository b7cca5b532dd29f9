import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** What one implementation says about its logs, for the other to judge; the same in Go is go/claims.go. */

const Base64 = z.string();
const Size = z.int().min(0);
const claim = { label: z.string(), holds: z.boolean() };

/** Go writes an empty list as null. */
function list<T extends z.ZodType>(item: T) {
  return z
    .array(item)
    .nullable()
    .transform((items) => items ?? []);
}

const Head = z.strictObject({
  ...claim,
  note: Base64,
  size: Size,
  root: Base64,
  cosignatures: list(z.strictObject({ name: z.string(), timeS: z.int() })),
});
const Inclusion = z.strictObject({
  ...claim,
  leafHash: Base64,
  index: Size,
  size: Size,
  root: Base64,
  hashes: list(Base64),
});
const Consistency = z.strictObject({
  ...claim,
  sizeBefore: Size,
  rootBefore: Base64,
  size: Size,
  root: Base64,
  hashes: list(Base64),
});
const Receipt = z.strictObject({ ...claim, file: Base64, entry: Base64 });

const Log = z.strictObject({
  /** The folder beside the claims, in the layout of C2SP tlog-tiles. */
  name: z.string(),
  origin: z.string(),
  vkey: z.string(),
  witnessVkeys: list(z.string()),
  /** False where a file was damaged on purpose. */
  treeHolds: z.boolean(),
  heads: list(Head),
  inclusions: list(Inclusion),
  consistencies: list(Consistency),
  receipts: list(Receipt),
});

const Claims = z.strictObject({ logs: z.array(Log).min(1) });

/** `holds` is what is meant to be found: the wrong claims are there to be refused. */
export type Claim = { label: string; holds: boolean };
/** Holds if the log signed this size and root, and exactly these witnesses cosigned at these times. */
export type HeadClaim = z.infer<typeof Head>;
export type InclusionClaim = z.infer<typeof Inclusion>;
export type ConsistencyClaim = z.infer<typeof Consistency>;
/** Holds if it proves this entry, under a checkpoint that all witnesses cosigned. */
export type ReceiptClaim = z.infer<typeof Receipt>;
export type LogClaims = z.infer<typeof Log>;

export function readClaims(path: string): readonly LogClaims[] {
  return Claims.parse(JSON.parse(readFileSync(path, 'utf8'))).logs;
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

export function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'base64');
}
