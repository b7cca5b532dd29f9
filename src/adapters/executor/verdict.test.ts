import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judge, type ProbeSetting, parseFacts } from './verdict.ts';

const SETTING: ProbeSetting = {
  runAs: '65534:65534',
  pidsMax: 32,
  outBytes: 1048576,
  scratchBytes: 1048576,
  shmBytes: 16777216,
};

/** What the cell reported on an engine that held everything. */
const SOUND = `kernel 6.1.0-18-amd64
user 65534 65534 65534 65534 1
capabilities 0 0
no-new-privileges 1
device -1
interfaces 0
routes 0
addresses-ipv6 0
route-ipv4 -97
route-ipv6 -97
vsock -97
write-root -30
write-top -30
write-run -30
write-var-tmp -30
write-dev -13
write-core-pattern -13
write-bound-file -30
read-bound-file 0
io_uring_setup -1
keyctl -1
userfaultfd -1
bpf -1
perf_event_open -1
ptrace -1
process_vm_readv -1
mount -1
unshare -1
limit-files 1024
limit-core 0
exec-scratch -13
fill-out 1048576 -28
fill-scratch 1048576 -28
fill-shm 16777216 -28
forks 31 -11
end 1
`;

describe('the verdict on a probe', () => {
  it('proves everything when everything held', () => {
    const { proofs, failures } = judge(SOUND, SETTING);
    expect(failures).toEqual([]);
    expect(proofs.map(({ name }) => name)).toContain('network');
    expect(proofs).toHaveLength(13);
  });

  it.each([
    ['routes 1', 'network'],
    ['addresses-ipv6 1', 'network'],
    ['route-ipv4 0', 'network'],
    ['vsock 0', 'network'],
    ['write-root -13', 'root-write'],
    ['write-run 0', 'root-write'],
    ['write-dev 0', 'kernel-files'],
    ['device 0', 'kernel-files'],
    ['write-bound-file 0', 'read-only-data'],
    ['read-bound-file -13', 'read-only-data'],
    ['user 0 0 0 0 0', 'user'],
    ['user 65534 65534 65534 65534 2', 'user'],
    ['capabilities 1 0', 'capabilities'],
    ['capabilities 0 14', 'capabilities'],
    ['no-new-privileges 0', 'no-new-privileges'],
    ['io_uring_setup 0', 'system-calls'],
    ['ptrace 0', 'system-calls'],
    ['unshare 0', 'system-calls'],
    ['forks 32 -11', 'processes'],
    ['forks 64 0', 'processes'],
    ['fill-out 2097152 0', 'output-size'],
    ['fill-out 2000000 -28', 'output-size'],
    ['fill-scratch 2097152 0', 'scratch-size'],
    ['fill-shm 33554432 0', 'scratch-size'],
    ['exec-scratch -8', 'scratch-exec'],
    ['limit-core 1', 'resource-limits'],
  ])('fails on %s', (line, name) => {
    const [fact = ''] = line.split(' ');
    const report = SOUND.replace(new RegExp(`^${fact} .*$`, 'm'), line);
    expect(judge(report, SETTING).failures.map((failure) => failure.name)).toEqual([name]);
  });

  it('counts a fact that is missing, torn or said twice as a failure', () => {
    for (const line of SOUND.trim()
      .split('\n')
      .filter((text) => !/^(kernel|interfaces) /.test(text))) {
      expect(judge(SOUND.replace(`${line}\n`, ''), SETTING).failures.length).toBeGreaterThan(0);
      expect(judge(SOUND + line, SETTING).failures.length).toBeGreaterThan(0);
    }
  });

  it('proves nothing from any other text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(judge(text, SETTING).proofs).toEqual([]);
        expect(parseFacts(text)).toBeInstanceOf(Map);
      }),
    );
  });
});
