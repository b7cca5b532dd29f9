import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { InboxEntry } from '../../src/gen/pht/v1/admin_pb.ts';
import { openNetwork } from '../../src/model/open-network.ts';
import { withFakeAgent } from './fake-agent.ts';
import { inCopy, makeHomes, run } from './rig.ts';

/** Members whose names pass for another's: at the door, and where an admin reads them. */

let homes: string;
beforeAll(async () => {
  homes = await makeHomes();
});
afterAll(() => rmSync(homes, { recursive: true, force: true }));

const enrol = (copy: string, id: string, title: string) =>
  run(copy, [
    ...['--home', id, 'init', '--role', 'researcher', '--id', id, '--title', title, '--organisation', 'Org'],
    ...['--network', 'net/network.json', '--dispatcher', '127.0.0.1:9', '--no-passphrase'],
  ]);
const admit = (copy: string, id: string, ...flags: string[]) =>
  run(copy, ['--home', 'net', 'network', 'admit', `${id}/enrolment.json`, ...flags, '--json']);

test.each([
  ['a title with Cyrillic letters', 'eve', 'l\u0435e'],
  ['the very same title', 'eve', 'lee'],
  ['an id with a one', '1ee', 'Eve'],
  ['an id with another letter', 'iee', 'Eve'],
])('%s is not admitted, unless somebody has looked', async (_, id, title) => {
  await inCopy(homes, async (copy) => {
    expect((await enrol(copy, id, title)).status).toBe(0);
    const refused = await admit(copy, id);
    expect(refused.status).not.toBe(0);
    expect(JSON.parse(refused.stdout)).toMatchObject({
      error: { code: 'conflict', hint: expect.stringContaining('--accept-look-alike') },
    });
    expect((await admit(copy, id, '--accept-look-alike')).status).toBe(0);
  });
});

test('an admin is warned of one wherever its name is shown', async () => {
  await inCopy(homes, async (copy) => {
    await enrol(copy, 'iee', 'l\u0435e');
    expect((await admit(copy, 'iee', '--accept-look-alike')).status).toBe(0);
    for (const id of ['adm', 'ams']) await run(copy, ['--home', id, 'network', 'import', 'net/network.json']);
    const shown = await run(copy, ['--home', 'adm', 'network', 'show']);
    expect(shown.stdout).toContain(
      'Look closely: the title of iee has letters of Latin and Cyrillic: l\\u{435}e',
    );
    expect(shown.stdout).toContain('Look closely: the id iee looks like lee');
    for (const line of shown.stdout.split('\n')) expect([...line].length).toBeLessThanOrEqual(80);
    const files = JSON.parse(readFileSync(join(copy, 'ams/network.json'), 'utf8')) as Parameters<
      typeof openNetwork
    >[0];
    const entry = { hopId: 'hop_x', title: 'T', researcher: 'iee', receivedAtMs: 1n, state: 'decided' };
    const agent = {
      inbox: async () => ({ entries: [entry as InboxEntry] }),
      status: async () => ({ station: 'ams', connected: true }),
    };
    await withFakeAgent({ homes: copy, network: openNetwork(files, null) }, agent, async (_copy, pht) => {
      expect((await pht('inbox')).stdout).toContain('Look closely: the id iee looks like lee');
      const answer = await pht('inbox', '--json');
      expect([answer.status, answer.stderr]).toEqual([0, '']);
      const { warnings } = JSON.parse(answer.stdout) as { warnings: string[] };
      expect(warnings).toHaveLength(3);
    });
  });
});
