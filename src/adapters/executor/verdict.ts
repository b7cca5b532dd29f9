import { OPEN_FILES_MAX } from './settings.ts';

/** What the probe was run with, which its facts are judged against. */
export type ProbeSetting = {
  runAs: string;
  pidsMax: number;
  outBytes: number;
  scratchBytes: number;
  shmBytes: number;
};

export type Verdict = {
  proofs: { name: string; text: string }[];
  failures: { name: string; text: string }[];
};

type Facts = ReadonlyMap<string, number[]>;
type Check = {
  name: string;
  holds(facts: Facts, setting: ProbeSetting): boolean;
  proof: string;
  failure: string;
};

const EROFS = -30;
const EACCES = -13;
const ENOENT = -2;
/** Lets a tmpfs round up to pages and huge pages. */
const SLACK_BYTES = 4096;

const first = (facts: Facts, name: string): number => facts.get(name)?.[0] ?? Number.NaN;
const isRefused = (facts: Facts, ...names: string[]): boolean =>
  names.every((name) => first(facts, name) < 0);
const isReadOnly = (facts: Facts, ...names: string[]): boolean =>
  names.every((name) => [EROFS, ENOENT].includes(first(facts, name)));

function isBounded(facts: Facts, name: string, bytesMax: number): boolean {
  const [written, errno] = facts.get(name) ?? [];
  return (
    written !== undefined &&
    errno !== undefined &&
    errno < 0 &&
    written > 0 &&
    written <= bytesMax + SLACK_BYTES
  );
}

function isUser(facts: Facts, runAs: string): boolean {
  const [uid, gid] = runAs.split(':').map(Number);
  const [realUid, effectiveUid, realGid, effectiveGid, groups] = facts.get('user') ?? [];
  const ids = realUid === uid && effectiveUid === uid && realGid === gid && effectiveGid === gid;
  return ids && uid !== 0 && gid !== 0 && groups !== undefined && groups <= 1;
}

const CHECKS: Check[] = [
  {
    name: 'network',
    holds: (facts) =>
      first(facts, 'routes') <= 0 &&
      first(facts, 'addresses-ipv6') <= 0 &&
      isRefused(facts, 'route-ipv4', 'route-ipv6', 'vsock'),
    proof: 'no route, no address but loopback, no socket to another machine or to the host',
    failure: 'a container could reach a network',
  },
  {
    name: 'root-write',
    holds: (facts) =>
      first(facts, 'write-root') === EROFS && isReadOnly(facts, 'write-top', 'write-run', 'write-var-tmp'),
    proof: 'the root file system refuses writing even where everybody may write',
    failure: 'a container could write into its root file system',
  },
  {
    name: 'kernel-files',
    holds: (facts) => isRefused(facts, 'write-dev', 'write-core-pattern', 'device'),
    proof: 'no writing into /dev and /proc/sys, no device can be made',
    failure: 'a container could make a device or change a kernel setting',
  },
  {
    name: 'read-only-data',
    holds: (facts) => first(facts, 'write-bound-file') === EROFS && first(facts, 'read-bound-file') === 0,
    proof: 'a bound file of mode 0666 can be read and not written',
    failure: 'a bound file could be written, or was not there',
  },
  {
    name: 'user',
    holds: (facts, { runAs }) => isUser(facts, runAs),
    proof: 'runs as the configured user and group, without further groups',
    failure: 'a container did not run as the configured user and group',
  },
  {
    name: 'capabilities',
    holds: (facts) => first(facts, 'capabilities') === 0 && facts.get('capabilities')?.[1] === 0,
    proof: 'no capability in any set, nor in the bounding set',
    failure: 'a container had capabilities',
  },
  {
    name: 'no-new-privileges',
    holds: (facts) => first(facts, 'no-new-privileges') === 1,
    proof: 'programs cannot gain privileges',
    failure: 'no-new-privileges was not in force',
  },
  {
    name: 'system-calls',
    holds: (facts) =>
      isRefused(facts, 'io_uring_setup', 'keyctl', 'userfaultfd', 'bpf', 'perf_event_open', 'ptrace') &&
      isRefused(facts, 'process_vm_readv', 'mount', 'unshare'),
    proof: 'io_uring, keyrings, userfaultfd, bpf, perf, tracing, mounts and namespaces are refused',
    failure: 'a system call that the profile forbids was carried out',
  },
  {
    name: 'processes',
    holds: (facts, { pidsMax }) => {
      const [born, errno] = facts.get('forks') ?? [];
      return born !== undefined && errno !== undefined && errno < 0 && born < pidsMax;
    },
    proof: 'forking is refused at the limit',
    failure: 'a container could start more processes than its limit',
  },
  {
    name: 'output-size',
    holds: (facts, { outBytes }) => isBounded(facts, 'fill-out', outBytes),
    proof: 'writing past the size of /out is refused',
    failure: 'the size of /out was not limited',
  },
  {
    name: 'scratch-size',
    holds: (facts, setting) =>
      isBounded(facts, 'fill-scratch', setting.scratchBytes) &&
      isBounded(facts, 'fill-shm', setting.shmBytes),
    proof: 'writing past the size of /tmp and /dev/shm is refused',
    failure: 'the size of /tmp or /dev/shm was not limited',
  },
  {
    name: 'scratch-exec',
    // An empty program that may be executed is refused too, for being none.
    holds: (facts) => first(facts, 'exec-scratch') === EACCES,
    proof: 'nothing in /tmp can be executed',
    failure: 'a program in /tmp could be executed',
  },
  {
    name: 'resource-limits',
    holds: (facts) => first(facts, 'limit-files') === OPEN_FILES_MAX && first(facts, 'limit-core') === 0,
    proof: 'open files are limited, no core is dumped',
    failure: 'the limits on open files and core dumps did not hold',
  },
];

/** Judges a probe's report. A fact that is missing is a failure: what was not tried is not proved. */
export function judge(report: string, setting: ProbeSetting): Verdict {
  const facts = parseFacts(report);
  const verdict: Verdict = { proofs: [], failures: [] };
  if (first(facts, 'end') !== 1)
    verdict.failures.push({ name: 'probe', text: 'the probe did not come to its end' });
  for (const { name, holds, proof, failure } of CHECKS) {
    if (holds(facts, setting)) verdict.proofs.push({ name, text: proof });
    else verdict.failures.push({ name, text: failure });
  }
  return verdict;
}

/** Lines of a name and decimal numbers; a name that comes twice counts for nothing. */
export function parseFacts(report: string): Facts {
  const facts = new Map<string, number[]>();
  for (const line of report.split('\n')) {
    if (!/^[a-z_0-9-]+( -?[0-9]{1,18}){1,8}$/.test(line)) continue;
    const [name = '', ...numbers] = line.split(' ');
    facts.set(name, facts.has(name) ? [] : numbers.map(Number));
  }
  return facts;
}
