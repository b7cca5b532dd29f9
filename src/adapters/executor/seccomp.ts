/**
 * The system calls of a train, as a profile of Docker's JSON form. Everything that is not named here fails with EPERM:
 * what computes on files and memory is in, what reaches kernel subsystems that an analysis never needs is out (io_uring,
 * bpf, perf, keyrings, userfaultfd, tracing, namespaces, mounts, modules, clocks, every socket family but AF_UNIX).
 */

const FILES =
  'access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 ' +
  'fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fstat fstatfs ' +
  'fsync ftruncate futimesat getcwd getdents getdents64 getxattr inotify_add_watch inotify_init inotify_init1 ' +
  'inotify_rm_watch ioctl lchown lgetxattr link linkat listxattr llistxattr lseek lstat mkdir mkdirat mknod mknodat ' +
  'newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink ' +
  'readlinkat readv rename renameat renameat2 rmdir sendfile splice stat statfs statx symlink symlinkat ' +
  'sync sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes vmsplice write writev';

const MEMORY =
  'brk get_mempolicy madvise map_shadow_stack membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect ' +
  'mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages set_mempolicy shmat ' +
  'shmctl shmdt shmget';

const PROCESSES =
  'arch_prctl capget execve execveat exit exit_group fork getcpu getegid geteuid getgid getgroups getpgid getpgrp ' +
  'getpid getppid getpriority getresgid getresuid getrlimit getrusage getsid gettid getuid get_robust_list ' +
  'get_thread_area ioprio_get kill pidfd_open pidfd_send_signal prctl prlimit64 rseq sched_get_priority_max ' +
  'sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval ' +
  'sched_setaffinity sched_yield setfsgid setfsuid setgid setgroups setpgid setpriority setregid setresgid setresuid ' +
  'setreuid setrlimit set_robust_list setsid set_thread_area set_tid_address setuid seccomp sysinfo tgkill times tkill ' +
  'uname vfork wait4 waitid capset';

const SIGNALS =
  'pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait ' +
  'rt_tgsigqueueinfo sigaltstack signalfd signalfd4 restart_syscall';

const TIME =
  'alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer time timer_create ' +
  'timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime';

const WAITING =
  'epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd ' +
  'eventfd2 futex futex_requeue futex_wait futex_waitv futex_wake poll ppoll pselect6 select msgctl msgget msgrcv msgsnd ' +
  'semctl semget semop semtimedop';

/** Processes of one train may talk to each other; `socket` itself is limited to AF_UNIX below. */
const SOCKETS =
  'accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg ' +
  'sendto setsockopt shutdown socketpair getrandom';

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: the flags of `clone` that make namespaces. */
const CLONE_NAMESPACES = 0x7e020000;
const AF_UNIX = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;

type Rule = {
  names: string[];
  action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  errnoRet?: number;
  args?: {
    index: number;
    value: number;
    valueTwo: number;
    op: 'SCMP_CMP_EQ' | 'SCMP_CMP_NE' | 'SCMP_CMP_MASKED_EQ';
  }[];
};

const RULES: Rule[] = [
  {
    names: [FILES, MEMORY, PROCESSES, SIGNALS, TIME, WAITING, SOCKETS].flatMap((words) => words.split(' ')),
    action: 'SCMP_ACT_ALLOW',
  },
  {
    names: ['socket'],
    action: 'SCMP_ACT_ALLOW',
    args: [{ index: 0, value: AF_UNIX, valueTwo: 0, op: 'SCMP_CMP_EQ' }],
  },
  {
    // Libraries know how to live without a family of addresses, less well with a refusal.
    names: ['socket'],
    action: 'SCMP_ACT_ERRNO',
    errnoRet: EAFNOSUPPORT,
    args: [{ index: 0, value: AF_UNIX, valueTwo: 0, op: 'SCMP_CMP_NE' }],
  },
  {
    names: ['clone'],
    action: 'SCMP_ACT_ALLOW',
    args: [{ index: 0, value: CLONE_NAMESPACES, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
  },
  // Its flags lie in memory, which a filter cannot read; C libraries then fall back to clone.
  { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
];

/** No 32-bit or x32 calls: their tables are older, longer and less watched. */
export const SECCOMP_PROFILE: string = JSON.stringify({
  defaultAction: 'SCMP_ACT_ERRNO',
  defaultErrnoRet: 1,
  archMap: [
    { architecture: 'SCMP_ARCH_X86_64', subArchitectures: [] },
    { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: [] },
  ],
  syscalls: RULES,
});

export function allowedCalls(): ReadonlySet<string> {
  return new Set(RULES.filter(({ action }) => action === 'SCMP_ACT_ALLOW').flatMap(({ names }) => names));
}
