import { z } from 'zod';
import { parseWith, Sha256Hex } from '../../model/schema.ts';
import type { PolicyFacts } from '../../ports/policy.ts';
import type { ReplayDecision } from '../../ports/replay.ts';
import { openPolicy } from './cedar.ts';

const REQUEST_BYTES_MAX = 256 * 1024;

const Text = z.string().max(4000);
const Texts = z.array(Text).max(10_000);
const Whole = z.int();

/** What a station wrote is outside input to whoever replays it. */
const Facts: z.ZodType<PolicyFacts> = z.strictObject({
  nowMs: Whole,
  station: Text,
  researcher: z.strictObject({ id: Text, organisation: Text }),
  dispatcher: Text,
  dataset: Text,
  train: z.strictObject({
    manifestDigest: Sha256Hex,
    imageConfigDigest: Sha256Hex,
    title: Text,
    purpose: Text,
    duo: Texts,
    outputKinds: Texts,
    minCellCount: Whole,
    stops: Texts,
    recipients: Texts,
    expiresMs: Whole,
    lifetimeMs: Whole,
    memoryBytesMax: Whole,
    cpuMillis: Whole,
    pidsMax: Whole,
    wallMsMax: Whole,
    outputBytesMax: Whole,
  }),
});

export const replayDecision: ReplayDecision = (policyText, request) => {
  const limits = { bytesMax: REQUEST_BYTES_MAX, what: 'the archived request' };
  return openPolicy(Buffer.from(policyText)).decide(parseWith(Facts, Buffer.from(request), limits));
};
