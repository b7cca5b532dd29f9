import type { DatasetDescription } from '../model/dataset.ts';
import type { Digest } from '../model/id.ts';

export type OpenDataset = {
  description: DatasetDescription;
  files: { name: string; path: string }[];
  /** Of the description and of the files' names, sizes and contents: pinned for the hop. */
  snapshotDigest: Digest;
};

/** What a station offers, read anew each time: an admin edits these files. */
export interface Datasets {
  /** Descriptions for the network; a broken file is left out and reported by `problems`. */
  list(): Promise<DatasetDescription[]>;
  /** @throws PhtError `dataset.unknown`, `dataset.unreadable` */
  open(id: string): Promise<OpenDataset>;
}
