import { z } from 'zod';
import { PhtError } from '../../model/error.ts';
import { parseWith } from '../../model/schema.ts';
import { misfitOfTerms, type StandingPredicate } from '../../model/standing.ts';
import { RESULT_KINDS } from '../../model/train.ts';
import { type Finding, finding } from './findings.ts';

/**
 * Whether a train kept the terms of the standing clearance that let it run. The manifest is not disclosed, but the
 * question that the policy was asked about it is, and that says nearly all of it. What it does not say: which code is in
 * the image, how much scratch space it asked for, and which disclosure settings were in force.
 */

const QUESTION_BYTES_MAX = 256 * 1024;

const Question = z.looseObject({
  researcher: z.looseObject({ id: z.string() }),
  dataset: z.string(),
  train: z.looseObject({
    imageConfigDigest: z.string(),
    duo: z.array(z.string()),
    outputKinds: z.array(z.enum(RESULT_KINDS)),
    minCellCount: z.int(),
    recipients: z.array(z.string()),
    memoryBytesMax: z.int(),
    cpuMillis: z.int(),
    pidsMax: z.int(),
    wallMsMax: z.int(),
    outputBytesMax: z.int(),
  }),
});

/**
 * @param question what the policy was asked before this train was cleared, canonical JSON
 * @param policyDigest of the policy that was asked
 * @returns in words the first term that was not kept; null where all that can be told was
 */
export function brokenTerm(
  standing: StandingPredicate,
  question: string,
  policyDigest: string,
): string | null {
  const asked = questionIn(question);
  if (asked === null) return null;
  const { researcher, dataset, train } = asked;
  const { scope, disclosureDigest } = standing;
  if ('image' in scope && scope.image !== train.imageConfigDigest) return 'another image';
  const { memoryBytesMax, cpuMillis, pidsMax, wallMsMax, outputBytesMax } = train;
  const sorted = <T extends string>(each: readonly T[]): T[] => [...new Set(each)].sort();
  return misfitOfTerms(standing, {
    ...{ scope, disclosureDigest, policyDigest, dataset },
    researcher: researcher.id,
    recipients: train.recipients.toSorted(),
    outputKinds: sorted(train.outputKinds),
    limits: { ...standing.limits, memoryBytesMax, cpuMillis, pidsMax, wallMsMax, outputBytesMax },
    duo: sorted(train.duo),
    minCellCount: train.minCellCount,
  });
}

/** Of another version of this software, it may be of another form; then nothing is told from it. */
function questionIn(question: string): z.infer<typeof Question> | null {
  try {
    return parseWith(Question, Buffer.from(question), { bytesMax: QUESTION_BYTES_MAX, what: 'a question' });
  } catch (thrown) {
    if (thrown instanceof PhtError) return null;
    throw thrown;
  }
}

/** A standing clearance at work, by its digest: of the same terms, signed once more, each word has runs of its own. */
export type StandingUse = { index: number; clearance: string; runsMax: number };
type Used = { station: string; trainId: string; standing: readonly StandingUse[] };

/** Each train uses one run up, however often it came. Trains that were not disclosed are not counted. */
export function overspentTerms(disclosed: readonly Used[]): Finding[] {
  const trains = new Map<string, Set<string>>();
  const over = new Map<string, Finding>();
  for (const { station, trainId, standing } of disclosed) {
    for (const { index, clearance, runsMax } of standing) {
      const key = `${station} ${clearance}`;
      const used = (trains.get(key) ?? new Set<string>()).add(trainId);
      trains.set(key, used);
      if (used.size <= runsMax) continue;
      const text = `it allowed ${runsMax} runs, and ${used.size} of the disclosed trains ran by it`;
      over.set(key, finding('misconduct', 'clearance.overspent', { log: station, index }, text));
    }
  }
  return [...over.values()];
}
