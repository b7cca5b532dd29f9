import { z } from 'zod';

/** `pht-answer/v1`: what a combine step hands to the researcher. */
export const Answer = z.strictObject({
  schema: z.literal('pht-answer/v1'),
  title: z.string().min(1),
  sections: z
    .array(
      z.strictObject({
        heading: z.string().min(1),
        lines: z.array(z.string()).optional(),
        table: z
          .strictObject({
            columns: z.array(z.string()),
            rows: z.array(z.array(z.union([z.string(), z.number(), z.null()]))),
          })
          .refine(
            ({ columns, rows }) => rows.every((row) => row.length === columns.length),
            'a row has another width',
          )
          .optional(),
      }),
    )
    .min(1),
  values: z.record(z.string(), z.union([z.number(), z.string(), z.null()])),
});
export type Answer = z.infer<typeof Answer>;

type Rows = (string | number | null)[][];

export function sectionOf(answer: Answer, heading: string): Answer['sections'][number] {
  const section = answer.sections.find((candidate) => candidate.heading === heading);
  if (section === undefined) throw new Error(`no section ${heading}`);
  return section;
}

export function tableOf(answer: Answer, heading: string): Rows {
  return sectionOf(answer, heading).table?.rows ?? [];
}

/** Characters of the longest line, with tables set in columns two blanks apart. */
export function widestLine(answer: Answer): number {
  const widths = answer.sections.flatMap(({ lines = [], table }) => {
    if (table === undefined) return lines.map((line) => line.length);
    const rows = [table.columns, ...table.rows];
    const columns = table.columns.map((_, at) =>
      Math.max(...rows.map((row) => String(row[at] ?? '').length)),
    );
    return [...lines.map((line) => line.length), columns.reduce((sum, width) => sum + width + 2, -2)];
  });
  return Math.max(answer.title.length, ...widths);
}
