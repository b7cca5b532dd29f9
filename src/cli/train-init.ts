import { chmodSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, fileError, writeAtomic } from '../adapters/home/files.ts';
import { PhtError } from '../model/error.ts';
import type { Frame } from './frame.ts';

/** `pht train init`: the smallest train that does something, to be changed into one's own. */

const TRAIN_YAML = `# What every station and its admin sees and what your signature covers.
title: My train
purpose:
  text: Say here why these data are needed and what will be done with the result.
  # Terms of the Data Use Ontology, e.g. DUO:0000006 for health, medical or biomedical research.
  duo: [DUO:0000006]

# \`pht network datasets\` lists them. Without \`stops\` below, every station that offers it is visited.
dataset: cgd

# Yours to name; the train finds them in /train/request.json. \`pht train submit --set name=value\` changes one.
parameters: {}

route:
  pattern: parallel
  # stops: [amsterdam, nih]
  minStations: 1
  deadline: 7d

# What the train gets. A station refuses what asks for more than it gives.
limits:
  memory: 64MiB
  cpus: 1
  processes: 16
  wall: 1m
  output: 64KiB
  scratch: 1MiB

outputs:
  # Frequencies, LinearAggregations, StatisticalHypothesisTests: each has its disclosure rules.
  kinds: [Frequencies]

# true: the same image runs once more on your machine, with step "combine" in /train/request.json and one result
# per station in /cargo/<station>.json, and writes one answer (pht-answer/v1) to /out/result.json.
combine: false
`;

const DOCKERFILE = `# Any image will do that runs as an unprivileged user, without a network and without writing outside /out and /tmp.
FROM debian:bookworm-slim
COPY count.sh /app/
ENTRYPOINT ["/bin/sh", "/app/count.sh"]
`;

const COUNT_SH = `#!/bin/sh
# Counts the patients: one row each, below the header of every file of the dataset.
#
# A train finds   /train/request.json     {"train", "round", "step": "run", "dataset", "parameters"}
#                 /data/<dataset>/        the files, and dataset.json, which describes their columns
# and writes      /out/result.json        pht-result/v1; the station's gate rounds and suppresses
# What it prints goes to the station's own log. Try it out with: pht train test
set -eu

total=0
for file in /data/*/*; do
  [ "\${file##*/}" = dataset.json ] && continue
  rows=$(awk 'NR > 1 && NF { n++ } END { print n + 0 }' "$file")
  total=$((total + rows))
done

cat > /out/result.json <<JSON
{"schema":"pht-result/v1","outputs":[{"id":"rows","kind":"Frequencies","dims":[],"cells":[{"k":[],"n":$total}]}]}
JSON
`;

const FILE_MODE = 0o644;

/** @throws PhtError `usage.invalid` when the directory holds anything */
export function initTrain(frame: Frame, dir: string): void {
  assertEmpty(dir);
  const files = ['train.yaml', 'Dockerfile', 'count.sh'];
  let made: string | undefined;
  try {
    made = mkdirSync(dir, { recursive: true });
    write(dir);
  } catch (cause) {
    // A directory that is not empty would keep the next attempt from starting.
    for (const path of [...files.map((name) => join(dir, name)), ...(made === undefined ? [] : [made])]) {
      rmSync(path, { recursive: true, force: true });
    }
    throw fileError(cause, dir, '(the train directory) could not be made');
  }
  frame.output.result({ directory: dir, files }, [
    `wrote ${files.join(', ')} to ${dir}`,
    `Next: pht train check ${dir}, then: pht train test ${dir} --data FOLDER`,
  ]);
}

function write(dir: string): void {
  writeAtomic(join(dir, 'Dockerfile'), DOCKERFILE, FILE_MODE);
  writeAtomic(join(dir, 'count.sh'), COUNT_SH, FILE_MODE);
  // Whatever the umask: the train's user must be able to read its own program.
  for (const name of ['Dockerfile', 'count.sh']) chmodSync(join(dir, name), FILE_MODE);
  // The file that makes it a train comes last.
  writeAtomic(join(dir, 'train.yaml'), TRAIN_YAML, FILE_MODE);
}

function assertEmpty(dir: string): void {
  let names: string[];
  try {
    names = readdirSync(dir);
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return;
    throw fileError(cause, dir, '(the train directory) could not be read');
  }
  if (names.length > 0) throw new PhtError('usage.invalid', `${dir} is not empty; nothing was written`);
}
