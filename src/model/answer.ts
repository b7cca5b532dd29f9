import { z } from 'zod';
import { PhtError } from './error.ts';
import { parseStrictJson } from './json.ts';

/**
 * `pht-answer/v1`: what a combine step writes for the researcher. Sections are for people, `values` for programs. The
 * train wrote it on the researcher's own machine, from results that strangers signed: bounded, and plain text only.
 */

const Text = (charactersMax: number) =>
  z
    .string()
    .max(charactersMax)
    .regex(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u, 'must not contain control or formatting characters');
const Cell = z.union([Text(200), z.number(), z.boolean(), z.null()]);

const Table = z
  .strictObject({
    columns: z.array(Text(100)).min(1).max(12),
    rows: z.array(z.array(Cell).max(12)).max(500),
  })
  .refine(
    ({ columns, rows }) => rows.every((row) => row.length === columns.length),
    'a row has another width',
  );

const Section = z.strictObject({
  heading: Text(100).min(1),
  lines: z.array(Text(500)).max(200).optional(),
  table: Table.optional(),
});

export const Answer = z.strictObject({
  schema: z.literal('pht-answer/v1'),
  title: Text(200).min(1),
  sections: z.array(Section).min(1).max(100),
  values: z
    .record(z.string().min(1).max(200), Cell)
    .refine((values) => Object.keys(values).length <= 10_000, 'has more than 10000 members'),
});
export type Answer = z.infer<typeof Answer>;

/** @throws PhtError `run.failed` with the first place that does not fit */
export function parseAnswer(bytes: Uint8Array, bytesMax: number): Answer {
  const failed = (why: string, cause: unknown): PhtError =>
    new PhtError('run.failed', `the combine step wrote no pht-answer/v1: ${why}`, {
      cause,
      hint: 'mend the combine step of the train; --no-combine shows the stations’ results as they came',
    });
  let value: unknown;
  try {
    value = parseStrictJson(bytes, { bytesMax, depthMax: 12, what: 'the answer' });
  } catch (cause) {
    throw failed(cause instanceof PhtError ? cause.message : 'it cannot be read', cause);
  }
  const outcome = Answer.safeParse(value);
  if (outcome.success) return outcome.data;
  const issue = outcome.error.issues[0];
  throw failed(
    `${issue?.path.map(String).join('.').slice(0, 100)}: ${issue?.message.slice(0, 200)}`,
    outcome.error,
  );
}
