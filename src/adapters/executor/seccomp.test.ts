import { describe, expect, it } from 'vitest';
import { allowedCalls, SECCOMP_PROFILE } from './seccomp.ts';

const DANGEROUS =
  'io_uring_setup io_uring_enter io_uring_register userfaultfd bpf perf_event_open keyctl add_key request_key ptrace ' +
  'process_vm_readv process_vm_writev mount umount2 pivot_root move_mount fsopen open_tree unshare setns clone3 ' +
  'init_module finit_module delete_module kexec_load kexec_file_load reboot swapon settimeofday clock_settime ' +
  'clock_adjtime open_by_handle_at name_to_handle_at acct quotactl lookup_dcookie personality chroot syslog iopl ioperm ' +
  'modify_ldt vm86 kcmp process_madvise fanotify_init landlock_create_ruleset sethostname';

describe('the seccomp profile', () => {
  it('denies unless allowed, and names no dangerous call', () => {
    expect(JSON.parse(SECCOMP_PROFILE)).toMatchObject({ defaultAction: 'SCMP_ACT_ERRNO' });
    expect(DANGEROUS.split(' ').filter((name) => allowedCalls().has(name))).toEqual([]);
  });

  it('allows no call twice and limits sockets and clone by their arguments', () => {
    const { syscalls } = JSON.parse(SECCOMP_PROFILE) as {
      syscalls: { names: string[]; action: string; args?: unknown[] }[];
    };
    const unconditional = syscalls.filter((rule) => rule.args === undefined).flatMap((rule) => rule.names);
    expect(new Set(unconditional).size).toBe(unconditional.length);
    for (const name of ['socket', 'clone']) expect(unconditional).not.toContain(name);
  });
});
