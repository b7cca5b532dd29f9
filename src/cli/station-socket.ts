import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, readFileSync } from 'node:fs';
import { PhtError } from '../model/error.ts';

/**
 * Lets the members of one group reach the admin socket, which is its owner's alone until then.
 *
 * @throws PhtError `config.invalid` for a group that is unknown or not this process's to give
 */
export function shareSocket(path: string, group: string): void {
  const gid = groupIdOf(group, 'adminSocket.group in config.yaml');
  try {
    // The group first: with the other order there is a moment in which another group could connect.
    chownSync(path, lstatSync(path).uid, gid);
    chmodSync(path, 0o660);
  } catch (cause) {
    throw new PhtError('config.invalid', `the admin socket ${path} cannot be given to the group ${group}`, {
      cause,
      hint: `make the user that runs the station a member of it: usermod -aG ${group} USER, then start it again`,
    });
  }
}

function groupIdOf(group: string, where: string): number {
  const line = groupLines(group).find((each) => each.startsWith(`${group}:`));
  const gid = Number(/^[^:]*:[^:]*:([0-9]{1,10})(?::|$)/.exec(line ?? '')?.[1] ?? Number.NaN);
  if (Number.isSafeInteger(gid)) return gid;
  throw new PhtError('config.invalid', `${where}: this machine has no group ${group}`, {
    hint: `make it (groupadd ${group}), or name another`,
  });
}

/** As the system resolves groups, directories of the network included; where `getent` is missing, the local file. */
function groupLines(group: string): string[] {
  try {
    const found = execFileSync('getent', ['group', '--', group], {
      encoding: 'utf8',
      timeout: 10_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return found.split('\n');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') return [];
    return readFileSync('/etc/group', 'utf8').split('\n');
  }
}
