import { z } from 'zod';
import { ColumnName, ShortText, Slug } from './schema.ts';

/** What a station says of one column. Levels are the codebook: no other label of it may leave the station. */
export const Column = z.strictObject({
  name: ColumnName,
  title: ShortText.optional(),
  type: z.enum(['integer', 'number', 'category', 'text', 'date']),
  unit: ShortText.optional(),
  levels: z.array(z.string().min(1).max(80)).min(1).max(200).optional(),
  missing: z.array(z.string().max(40)).max(20).optional(),
});
export type Column = z.infer<typeof Column>;

/**
 * The public description of a dataset, as the network sees it and as the train finds it in
 * `/data/<id>/dataset.json`. It holds nothing computed from patients.
 */
export const DatasetDescription = z.strictObject({
  id: Slug,
  title: ShortText,
  files: z
    .array(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/))
    .min(1)
    .max(256),
  format: z.literal('csv'),
  columns: z.array(Column).min(1).max(500),
});
export type DatasetDescription = z.infer<typeof DatasetDescription>;
