import { execFileSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';
import { ownCertificate } from '../adapters/home/certificate.ts';
import type { StationConfig } from '../adapters/home/config.ts';
import { listDatasets, readableBy, readDataset } from '../adapters/home/datasets.ts';
import { KEY_USES, type KeyUse, loadKey } from '../adapters/home/keys.ts';
import type { Home } from '../adapters/home/member.ts';
import { highestSeenMs } from '../adapters/store/station-clock.ts';
import { connect } from '../adapters/wire/client.ts';
import { AdminService } from '../gen/pht/v1/admin_pb.ts';
import {
  aclGrants,
  type Finding,
  fail,
  judgeCertificate,
  judgeClock,
  judgeReadable,
  ok,
  warn,
} from '../journey/station/doctor.ts';
import { asPhtError } from '../model/error.ts';
import type { Network } from '../model/network.ts';
import { foreseen } from './foreseen.ts';
import { passphrase } from './frame.ts';
import { adminSocketPath } from './station-paths.ts';

/** The doctor's look at a station's own directory, its data and its agent. Nothing is written. */

const OPEN_TO_OTHERS = 0o007;
const STATUS_DEADLINE_MS = 3000;

/** Any error as one finding; `fix` where the error itself names none. */
export function findingOf(check: string, thrown: unknown, fix: string): Finding {
  const { code, message, hint } = foreseen(thrown);
  return fail(check, code, message, hint ?? fix);
}

export function lookAtClock(home: Home, nowMs: number): Finding {
  try {
    return judgeClock(nowMs, highestSeenMs(join(home.dir, 'state.db')));
  } catch (thrown) {
    return findingOf('clock', thrown, 'restore state.db and the ledger folder together from a backup');
  }
}

/** Each private key must open, and be the one that the network knows. */
export async function lookAtKeys(home: Home, network: Network): Promise<Finding[]> {
  const member = network.members.get(home.member.id);
  const wrong: Finding[] = [];
  for (const use of KEY_USES.station) {
    try {
      const { x } = await loadKey(home.dir, use, passphrase);
      const known = publicKeyOf(use, member?.keys);
      if (member === undefined || known === x) continue;
      const fix =
        'restore the keys that were enrolled; or enrol anew: send enrolment.json to the network authority';
      wrong.push(
        fail('keys', 'signer.unknown', `keys/${use}.jwk is not the key that the network file names`, fix),
      );
    } catch (thrown) {
      wrong.push(findingOf('keys', thrown, 'restore the folder keys from a backup, mode 0700'));
    }
  }
  return wrong.length > 0
    ? wrong
    : [ok('keys', `${KEY_USES.station.join(', ')}: present, private, as enrolled`)];
}

function publicKeyOf(
  use: KeyUse,
  keys: Partial<Record<string, { x: string }>> | undefined,
): string | undefined {
  return keys?.[use]?.x;
}

export async function lookAtCertificate(home: Home, network: Network, nowMs: number): Promise<Finding> {
  try {
    const certificate = ownCertificate(home, network, nowMs);
    const { x } = await loadKey(home.dir, 'tls', passphrase);
    const hasKey = network.members.get(home.member.id)?.keys.tls?.x === x;
    return judgeCertificate({ ...certificate, hasKey });
  } catch (thrown) {
    return findingOf('certificate', thrown, 'ask the network authority for a current network file');
  }
}

export function lookAtDatasets(home: Home, config: StationConfig): Finding[] {
  const ids = listDatasets(home.dir);
  if (ids.length === 0) {
    const folder = join(home.dir, 'datasets');
    return [warn('datasets', 'this station offers none', `describe one in ${folder}/ID.yaml`)];
  }
  return ids.flatMap((id) => lookAtDataset(home.dir, id, config.runAs));
}

function lookAtDataset(dir: string, id: string, runAs: string): Finding[] {
  const [uid = 0, gid = 0] = runAs.split(':').map(Number);
  try {
    return readDataset(dir, id).files.map(({ path }) => {
      const seen = readableBy(path, uid, gid);
      const readable = seen.ok || aclGrants(aclOf(path), uid, gid);
      const mode = (statSync(path).mode & 0o7777).toString(8).padStart(4, '0');
      return ownReading(id, path) ?? judgeReadable({ dataset: id, path, mode, uid, gid, readable });
    });
  } catch (thrown) {
    return [findingOf(`dataset ${id}`, thrown, `correct ${join(dir, 'datasets', `${id}.yaml`)}`)];
  }
}

/** The agent itself reads every file, to pin what the train will see. */
function ownReading(id: string, path: string): Finding | null {
  try {
    accessSync(path, constants.R_OK);
    return null;
  } catch {
    const user = process.getuid?.() ?? 0;
    return fail(
      `dataset ${id}`,
      'dataset.unreadable',
      `this station's own user ${user} cannot read ${path}`,
      `setfacl -m u:${user}:r '${path}'`,
    );
  }
}

/** Without the tool there is no list to be read, and the permission bits stand alone. */
function aclOf(path: string): string {
  try {
    return execFileSync('getfacl', ['-cnpe', '--', path], {
      encoding: 'utf8',
      timeout: 5000,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    return '';
  }
}

/** Connected, and all the same not doing what it is there for. */
function connectedAgent(running: string, problem: string): Finding {
  const text = `${running}, connected to its dispatcher`;
  return problem === ''
    ? ok('agent', text)
    : warn('agent', `${text}; ${problem}`, 'see the findings on the network file');
}

/** Whether the agent runs, what it says of itself, and that only those who may can reach it. */
export async function lookAtAgent(home: Home, config: StationConfig): Promise<Finding[]> {
  const path = adminSocketPath(home.dir, config);
  const start = `pht --home ${home.dir} station serve`;
  let mode: number;
  try {
    mode = statSync(path).mode;
  } catch {
    return [warn('agent', `nothing listens at ${path}: the agent does not run`, start)];
  }
  const findings: Finding[] = [];
  if ((mode & OPEN_TO_OTHERS) !== 0) {
    findings.push(
      fail(
        'admin socket',
        'config.invalid',
        `${path} is open to every user of this machine`,
        `chmod o-rwx '${path}'`,
      ),
    );
  }
  const channel = connect({ address: `unix:${path}`, tls: null });
  try {
    const status = await channel.client(AdminService).status({}, { deadlineMs: STATUS_DEADLINE_MS });
    const running = `runs as ${status.station}, ${status.openHops} open hops`;
    if (status.ledgerProblem !== '')
      findings.push(warn('ledger', `not published: ${status.ledgerProblem}`, 'pht station inbox'));
    if (status.distrusted.length > 0) {
      const text = `not believed, with two signed histories: ${status.distrusted.join(', ')}`;
      findings.push(warn('ledgers of others', text, 'pht station conflicts'));
    }
    findings.push(
      status.connected
        ? connectedAgent(running, status.problem)
        : warn('agent', `${running}, not connected: ${status.problem}`, 'see the findings on the connection'),
    );
  } catch (thrown) {
    findings.push(
      warn('agent', `the agent does not answer at ${path}: ${asPhtError(thrown).message}`, start),
    );
  } finally {
    channel.close();
  }
  return findings;
}
