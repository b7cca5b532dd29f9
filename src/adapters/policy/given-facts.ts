import { z } from 'zod';
import { listsWith, type StationLists } from '../../model/lists.ts';
import { parseWith, Sha256Hex, Slug } from '../../model/schema.ts';
import type { PolicyAnswer, PolicyFacts } from '../../ports/policy.ts';

/** Facts from outside: archived ones, which are whole, and those that a person wrote down, which differ from a default. */

const REQUEST_BYTES_MAX = 256 * 1024;

const Text = z.string().max(4000);
const Texts = z.array(Text).max(10_000);
const Lists = z.array(Slug).max(10_000);
const Whole = z.int();

const Train = z.strictObject({
  manifestDigest: Sha256Hex,
  imageConfigDigest: Sha256Hex,
  imageLists: Lists,
  imageApprovedHere: z.boolean(),
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
});
const Researcher = z.strictObject({ id: Text, organisation: Text, lists: Lists });
const Others = { nowMs: Whole, station: Text, dispatcher: Text, dataset: Text };

const Facts: z.ZodType<PolicyFacts> = z.strictObject({ ...Others, researcher: Researcher, train: Train });

/** @param request JSON, as a station archived it @throws PhtError `input.malformed`, `input.too-large` */
export function parseFacts(request: string | Uint8Array): PolicyFacts {
  const limits = { bytesMax: REQUEST_BYTES_MAX, what: 'the archived request' };
  return parseWith(Facts, Buffer.from(request), limits);
}

const Answer: z.ZodType<PolicyAnswer> = z.strictObject({
  verdict: z.enum(['permit', 'ask', 'deny']),
  rules: z.array(z.string().max(64)).max(1000),
  reasons: z.array(z.string().max(1000)).max(1000),
  approvals: z.union([z.literal(0), z.literal(1), z.literal(2)]),
  error: z.boolean(),
});

/** @param answer JSON, as a station archived it @throws PhtError `input.malformed`, `input.too-large` */
export function parseAnswer(answer: Uint8Array): PolicyAnswer {
  return parseWith(Answer, answer, { bytesMax: REQUEST_BYTES_MAX, what: 'the archived answer' });
}

/** Some of the facts; what is left out is as in `DEFAULT_FACTS`. Names, units and shapes are those of `PolicyFacts`. */
export const SomeFacts = z
  .strictObject({ ...Others, researcher: Researcher.partial(), train: Train.partial() })
  .partial();
export type SomeFacts = z.infer<typeof SomeFacts>;

const MIB = 1024 * 1024;
const DAY_MS = 86_400_000;

/** An ordinary train: small, for a day's work, with a result for the researcher alone. docs/policy.md lists it. */
export const DEFAULT_FACTS: PolicyFacts = {
  nowMs: Date.UTC(2026, 0, 2),
  station: 'station',
  researcher: { id: 'researcher', organisation: 'Organisation', lists: [] },
  dispatcher: 'dispatcher',
  dataset: 'dataset',
  train: {
    manifestDigest: 'a'.repeat(64),
    imageConfigDigest: 'b'.repeat(64),
    imageLists: [],
    imageApprovedHere: false,
    title: 'A train',
    purpose: 'What a researcher wants to know',
    duo: ['DUO:0000042'],
    outputKinds: ['Frequencies'],
    minCellCount: 0,
    stops: ['station'],
    recipients: ['researcher'],
    expiresMs: Date.UTC(2026, 1, 1),
    lifetimeMs: 30 * DAY_MS,
    memoryBytesMax: 512 * MIB,
    cpuMillis: 1000,
    pidsMax: 128,
    wallMsMax: 600_000,
    outputBytesMax: MIB,
  },
};

/**
 * What was written down, over the defaults. Lists that it does not name are those of `lists` that hold the researcher
 * and the image, as a station would find them; stops and recipients follow the station and the researcher.
 */
export function factsWith(given: SomeFacts, lists: StationLists): PolicyFacts {
  const { researcher = {}, train = {}, ...others } = given;
  const id = researcher.id ?? DEFAULT_FACTS.researcher.id;
  const image = train.imageConfigDigest ?? DEFAULT_FACTS.train.imageConfigDigest;
  const station = others.station ?? DEFAULT_FACTS.station;
  const found = {
    researcher: { lists: listsWith(lists.researchers, id) },
    train: { imageLists: listsWith(lists.images, image), stops: [station], recipients: [id] },
  };
  return {
    ...DEFAULT_FACTS,
    ...present(others),
    researcher: { ...DEFAULT_FACTS.researcher, ...found.researcher, ...present(researcher) },
    train: { ...DEFAULT_FACTS.train, ...found.train, ...present(train) },
  };
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without members that are there and undefined, which would hide a default. */
function present<T extends object>(given: T): Present<T> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Present<T>;
}
