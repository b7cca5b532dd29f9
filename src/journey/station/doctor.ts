import { asPhtError, type ErrorCode } from '../../model/error.ts';
import { assertFresh, type Network } from '../../model/network.ts';
import { SKEW_MS } from '../../model/skew.ts';
import type { EngineReport } from '../../ports/executor.ts';

/** What a station's admin is told before a train is. Pure: facts in, findings out; times in milliseconds. */

/** A `fail` keeps trains from running and names its code; `fix` is what to type or change. */
export type Finding = { check: string; text: string } & (
  | { level: 'ok' }
  | { level: 'warn'; fix: string }
  | { level: 'fail'; fix: string; code: ErrorCode }
);

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const NETWORK_WARN_MS = 7 * DAY_MS;

export const ok = (check: string, text: string): Finding => ({ check, level: 'ok', text });
export const warn = (check: string, text: string, fix: string): Finding => ({
  check,
  level: 'warn',
  text,
  fix,
});
export const fail = (check: string, code: ErrorCode, text: string, fix: string): Finding => ({
  check,
  level: 'fail',
  text,
  fix,
  code,
});

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
const minuteOf = (ms: number): string => new Date(ms).toISOString().slice(0, 16).replace('T', ' ');

/** @param highestMs the highest time that the station has on record, null before its first hop */
export function judgeClock(nowMs: number, highestMs: number | null): Finding {
  const now = new Date(nowMs).toISOString().slice(0, 19).replace('T', ' ');
  if (highestMs !== null && nowMs < highestMs - SKEW_MS) {
    const minutes = Math.ceil((highestMs - nowMs) / 60_000);
    return fail(
      'clock',
      'clock.untrusted',
      `the clock says ${now} UTC, ${minutes} minutes before the latest time on record here`,
      'set the clock (timedatectl set-ntp true); nothing runs and nothing leaves until it is right again',
    );
  }
  return ok('clock', `${now} UTC, not behind the latest time on record`);
}

export function judgeNetwork(network: Network, member: string, nowMs: number): Finding[] {
  const until = dayOf(network.expiresMs);
  const renew = 'ask the network authority for the current file, then: pht network import FILE';
  const age = `version ${network.version}, good until ${until}`;
  const validity =
    nowMs >= network.expiresMs
      ? fail('network file', 'network.expired', `expired on ${until}`, renew)
      : network.expiresMs - nowMs < NETWORK_WARN_MS
        ? warn('network file', age, renew)
        : ok('network file', age);
  const entry = network.members.get(member);
  if (entry?.role === 'station') return [validity, ok('membership', `listed as ${entry.title}`)];
  return [
    validity,
    fail(
      'membership',
      'signer.unknown',
      `the network file does not list ${member} as a station`,
      'send enrolment.json to the network authority, then: pht network import FILE',
    ),
  ];
}

/** How old the authority's word is that nothing newer is being withheld, and when it no longer counts. */
export function judgeFreshness(network: Network, nowMs: number): Finding {
  const { issuedAtMs, expiresMs } = network.freshness;
  const fix =
    'ask whether the authority still runs pht network freshen, and whether the dispatcher passes it on';
  try {
    assertFresh(network, nowMs);
  } catch (thrown) {
    const { code, message } = asPhtError(thrown);
    // Said of the file itself already.
    if (code === 'network.expired') return warn('freshness', message, fix);
    return fail('freshness', code, `${message}; no new run and no release`, fix);
  }
  const hours = Math.max(0, Math.floor((nowMs - issuedAtMs) / HOUR_MS));
  const text = `${hours} h old; stale on ${minuteOf(expiresMs)} UTC`;
  const isLate = nowMs >= issuedAtMs + (expiresMs - issuedAtMs) / 2;
  return isLate ? warn('freshness', `${text}; half of its life is over`, fix) : ok('freshness', text);
}

/** What keeps the network file from being acted upon, in words; empty while nothing does. */
export function networkProblem(network: Network, nowMs: number): string {
  try {
    assertFresh(network, nowMs);
    return '';
  } catch (thrown) {
    const { code, message } = asPhtError(thrown);
    return `no new run and no release: ${message} [${code}]`;
  }
}

/** @param certificate a sound one; `dueForRenewal` in the last third of its life */
export function judgeCertificate(certificate: {
  notAfterMs: number;
  dueForRenewal: boolean;
  hasKey: boolean;
}): Finding {
  const until = dayOf(certificate.notAfterMs);
  if (!certificate.hasKey) {
    const fix = 'restore the folder keys from a backup, mode 0700';
    return fail('certificate', 'certificate.invalid', 'it is for another key than keys/tls.jwk', fix);
  }
  if (certificate.dueForRenewal) {
    const fix = 'ask whether the authority still runs pht network freshen; then: pht network import FILE';
    return warn('certificate', `expires on ${until} and was not renewed yet`, fix);
  }
  return ok('certificate', `good until ${until}, and for the key in keys/tls.jwk`);
}

/** @param accepted ids in the configuration's `engine.acceptEngineRisks` */
export function judgeEngine(report: EngineReport, accepted: readonly string[]): Finding[] {
  return [
    ok('engine', `${report.engine}, ${report.runtime}`),
    ...report.failures.map(({ name, text }) =>
      fail(
        `sandbox: ${name}`,
        'engine.unsafe',
        text,
        'no train runs on this engine; use one that holds the limit',
      ),
    ),
    ...report.risks.map(({ id, text }) =>
      accepted.includes(id)
        ? warn(`risk: ${id}`, `accepted in config.yaml: ${text}`, 'update the engine when you can')
        : fail(
            `risk: ${id}`,
            'engine.unsafe',
            text,
            `update the engine; or accept the risk aloud in config.yaml: engine: { acceptEngineRisks: [${id}] }`,
          ),
    ),
    ...report.proofs.map(({ name, text }) => ok(`sandbox: ${name}`, `proved: ${text}`)),
  ];
}

export type ReadFact = {
  dataset: string;
  path: string;
  /** Octal, as `stat` prints it. */
  mode: string;
  uid: number;
  gid: number;
  /** By the train's user, by permission bits or an access list. */
  readable: boolean;
};

/** Never more than reading for one user or group: nothing here opens a hospital's file to everybody. */
export function judgeReadable({ dataset, path, mode, uid, gid, readable }: ReadFact): Finding {
  const check = `dataset ${dataset}`;
  if (readable) return ok(check, `the train's user ${uid}:${gid} can read ${path}`);
  const file = quoted(path);
  return fail(
    check,
    'dataset.unreadable',
    `the train's user ${uid}:${gid} cannot read ${path} (mode ${mode})`,
    `setfacl -m u:${uid}:r ${file}   (or: chgrp ${gid} ${file} && chmod g+r ${file})`,
  );
}

/**
 * Whether an access list lets a user read, by the algorithm of acl(5): the named user decides, else the groups.
 *
 * @param listed what `getfacl -cnpe` prints
 */
export function aclGrants(listed: string, uid: number, gid: number): boolean {
  const lines = listed.split('\n').flatMap((line) => {
    const [, kind, id, rights] = /^(user|group|mask|other):([0-9]*):([r-][w-][x-])/.exec(line) ?? [];
    return kind === undefined || id === undefined || rights === undefined
      ? []
      : [{ kind, id, reads: rights[0] === 'r' }];
  });
  const mask = lines.find(({ kind }) => kind === 'mask')?.reads ?? true;
  const user = lines.find(({ kind, id }) => kind === 'user' && id === String(uid));
  if (user !== undefined) return user.reads && mask;
  const group = lines.find(({ kind, id }) => kind === 'group' && id === String(gid));
  return group?.reads === true && mask;
}

/** For a shell. */
function quoted(path: string): string {
  return /^[A-Za-z0-9_./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
