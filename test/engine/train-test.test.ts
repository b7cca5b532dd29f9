import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Desk, errorCode, openDesk, PHT, type Run } from '../spawn-pht.ts';
import { docker } from './setup.ts';

/** `pht train test`: the author's own machine, the stations' sandbox and gate. */

/** Of this test alone, so that its images can be told from others'. */
const OWNER = 'lee-trial';

let desk: Desk;
let networkId = '';

beforeAll(() => {
  desk = openDesk();
  desk.pht(['--home', 'net', 'network', 'init', '--title', 'Net', '--no-passphrase']);
  desk.init('lee', 'researcher', OWNER);
  desk.pht(['--home', 'net', 'network', 'admit', 'lee/enrolment.json']);
  desk.pht(['--home', 'lee', 'network', 'import', 'net/network.json']);
  const shown = desk.pht(['--home', 'lee', 'network', 'show', '--json']);
  networkId = (JSON.parse(shown.stdout) as { networkId: string }).networkId;
  for (const [folder, rows] of [
    ['north', 23],
    ['small', 4],
  ] as const) {
    mkdirSync(join(desk.dir, folder));
    desk.write(`${folder}/patients.csv`, `age\n${'40\n'.repeat(rows)}`);
  }
});
afterAll(async () => {
  desk.clear();
  const images = await docker.listImages();
  const mine = images.flatMap(({ RepoTags }) => RepoTags ?? []).filter((tag) => tag.includes(`/${OWNER}`));
  for (const tag of mine) await docker.getImage(tag).remove();
});

/** A train of one shell script, on the smallest base image. */
function train(name: string, script: string, combine = false): string {
  mkdirSync(join(desk.dir, name), { recursive: true });
  desk.write(`${name}/run.sh`, script);
  desk.write(
    `${name}/Dockerfile`,
    'FROM signalbox/shell:1\nCOPY run.sh /app/\nENTRYPOINT ["/bin/sh", "/app/run.sh"]\n',
  );
  desk.write(
    `${name}/train.yaml`,
    `title: T\npurpose: { text: A train of the tests. }\ndataset: cgd\noutputs: { kinds: [Frequencies] }\ncombine: ${combine}\nlimits: { memory: 64MiB, wall: 60s, scratch: 1MiB }\n`,
  );
  return name;
}

const testing = (...args: string[]): Run => desk.pht(['--home', 'lee', 'train', 'test', ...args, '--json']);

async function leftOver(): Promise<string[]> {
  const filters = { label: [`signalbox.owner=${networkId.slice(0, 12)}.${OWNER}`] };
  const containers = await docker.listContainers({ all: true, filters });
  const { Volumes } = await docker.listVolumes({ filters });
  return [...containers.flatMap(({ Names }) => Names), ...(Volumes ?? []).map(({ Name }) => Name)];
}

const COUNT = `
n=$(awk 'NR > 1' /data/cgd/patients.csv | wc -l)
echo '{"schema":"pht-result/v1","outputs":[{"id":"rows","kind":"Frequencies","dims":[],"cells":[{"k":[],"n":'$n'}]}]}' > /out/result.json
`;

describe('a train on local files', () => {
  test('shows its log, its raw result and what the gate lets out', async () => {
    const run = testing(train('count', `echo counting; ${COUNT}`), '--data', 'north');
    expect(run.status, run.stderr).toBe(0);
    const { trials } = JSON.parse(run.stdout) as { trials: Record<string, unknown>[] };
    expect(trials).toMatchObject([{ station: 'north', log: 'counting\n', failure: null }]);
    expect(trials[0]?.['raw']).toContain('"n":23');
    expect(JSON.stringify(trials[0]?.['screening'])).toContain('"n":25');
    expect(await leftOver()).toEqual([]);
  });

  test('what pht train init writes works', () => {
    expect(desk.pht(['train', 'init', 'mine']).status).toBe(0);
    const run = testing('mine', '--data', 'north');
    expect(run.status, run.stderr).toBe(0);
    expect(run.stdout).toContain('"n": 25');
  });

  test('several folders stand for several stations, and the combine step pools what the gate let out', () => {
    const combine = `
if grep -q '"step":"combine"' /train/request.json; then
  echo '{"schema":"pht-answer/v1","title":"Pooled","sections":[{"heading":"H","lines":["'$(ls /cargo | tr '\\n' ' ')'"]}],"values":{"seen":"'$(grep -c '"n":25' /cargo/north.json)'"}}' > /out/result.json
  exit 0
fi
${COUNT}`;
    const run = testing(train('pool', combine, true), '--data', 'north', 'small');
    expect(run.status, run.stderr).toBe(0);
    const { answer, trials } = JSON.parse(run.stdout) as { answer: object; trials: object[] };
    expect(trials).toHaveLength(2);
    expect(answer).toMatchObject({
      title: 'Pooled',
      sections: [{ lines: ['north.json small.json '] }],
      values: { seen: '1' },
    });
  });

  test.each([
    ['an error', 'echo no such column >&2; exit 3', 1, 'ended with an error', 'no such column\n'],
    ['no result', 'exit 0', 1, 'wrote no /out/result.json', ''],
  ])('%s is told with its log', (_, script, status, failure, log) => {
    const run = testing(train('broken', script), '--data', 'north');
    expect(run.status).toBe(status);
    const { trials } = JSON.parse(run.stdout) as { trials: { failure: string; log: string }[] };
    expect(trials[0]?.failure).toContain(failure);
    expect(trials[0]?.log).toBe(log);
  });

  test('what the gate would not let out ends with the status of a refusal', () => {
    const run = testing(train('odd', `echo '{"schema":"other"}' > /out/result.json`), '--data', 'north');
    expect(run.status).toBe(3);
    expect(run.stdout).toContain('"withhold"');
  });

  test('a Dockerfile that does not build is told in the words of the engine', () => {
    train('unbuilt', 'true');
    desk.write('unbuilt/Dockerfile', 'FROM signalbox/shell:1\nRUN false\n');
    const run = testing('unbuilt', '--data', 'north');
    expect([run.status, errorCode(run)]).toEqual([2, 'usage.invalid']);
  });
});

test('killed in the middle, it leaves nothing that the next run does not remove', async () => {
  const slow = train('slow', 'sleep 50');
  const child = spawn(PHT, ['--home', 'lee', 'train', 'test', slow, '--data', 'north'], {
    cwd: desk.dir,
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const hop = {
    label: [`signalbox.owner=${networkId.slice(0, 12)}.${OWNER}`, 'signalbox.hop=trial-north'],
    status: ['running'],
  };
  for (let tries = 0; (await docker.listContainers({ filters: hop })).length === 0; tries++) {
    if (tries > 200) throw new Error('the train never ran');
    await sleep(100);
  }
  const spool = join(desk.dir, 'lee', 'sandbox', 'spool');
  expect(readdirSync(spool)).toEqual(['trial-north']);
  child.kill('SIGKILL');
  await ended;
  expect(await leftOver()).not.toEqual([]);
  expect(testing(train('count', COUNT), '--data', 'small').status).toBe(0);
  expect(await leftOver()).toEqual([]);
  expect(readdirSync(spool)).toEqual([]);
});
