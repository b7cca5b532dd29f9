/* Raw Linux system calls for x86-64 and arm64: the cell has no libc, so that its bytes can be read in an hour. */
#ifndef CELL_SYSCALLS_H
#define CELL_SYSCALLS_H

typedef unsigned long word;

#if defined(__x86_64__)
enum {
  NR_write = 1, NR_read = 0, NR_close = 3, NR_mmap = 9, NR_rt_sigprocmask = 14, NR_clone = 56, NR_execve = 59, NR_exit = 60,
  NR_wait4 = 61, NR_kill = 62, NR_uname = 63, NR_ptrace = 101, NR_getuid = 102, NR_getgid = 104, NR_geteuid = 107,
  NR_getegid = 108, NR_getgroups = 115, NR_capget = 125, NR_rt_sigtimedwait = 128, NR_prctl = 157, NR_mount = 165,
  NR_keyctl = 250, NR_openat = 257, NR_mknodat = 259, NR_unlinkat = 263, NR_ppoll = 271, NR_unshare = 272,
  NR_perf_event_open = 298, NR_prlimit64 = 302, NR_process_vm_readv = 310, NR_bpf = 321, NR_userfaultfd = 323,
  NR_io_uring_setup = 425, NR_socket = 41, NR_connect = 42, NR_statx = 332, O_NOFOLLOW_ = 0400000
};
static long call(long nr, word a, word b, word c, word d, word e, word f) {
  long result;
  register word r10 __asm__("r10") = d;
  register word r8 __asm__("r8") = e;
  register word r9 __asm__("r9") = f;
  __asm__ volatile("syscall" : "=a"(result) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}
__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
#elif defined(__aarch64__)
enum {
  NR_write = 64, NR_read = 63, NR_close = 57, NR_mmap = 222, NR_rt_sigprocmask = 135, NR_clone = 220, NR_execve = 221,
  NR_exit = 93, NR_wait4 = 260, NR_kill = 129, NR_uname = 160, NR_ptrace = 117, NR_getuid = 174, NR_getgid = 176,
  NR_geteuid = 175, NR_getegid = 177, NR_getgroups = 158, NR_capget = 90, NR_rt_sigtimedwait = 137, NR_prctl = 167,
  NR_mount = 40, NR_keyctl = 219, NR_openat = 56, NR_mknodat = 33, NR_unlinkat = 35, NR_ppoll = 73, NR_unshare = 97,
  NR_perf_event_open = 241, NR_prlimit64 = 261, NR_process_vm_readv = 270, NR_bpf = 280, NR_userfaultfd = 282,
  NR_io_uring_setup = 425, NR_socket = 198, NR_connect = 203, NR_statx = 291, O_NOFOLLOW_ = 0100000
};
static long call(long nr, word a, word b, word c, word d, word e, word f) {
  register word x8 __asm__("x8") = (word)nr;
  register word x0 __asm__("x0") = a;
  register word x1 __asm__("x1") = b;
  register word x2 __asm__("x2") = c;
  register word x3 __asm__("x3") = d;
  register word x4 __asm__("x4") = e;
  register word x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return (long)x0;
}
__asm__(".globl _start\n_start: mov x29, xzr\n mov x0, sp\n bl start\n");
#else
#error "only x86-64 and arm64"
#endif

#define CALL0(nr) call(nr, 0, 0, 0, 0, 0, 0)
#define CALL1(nr, a) call(nr, (word)(a), 0, 0, 0, 0, 0)
#define CALL2(nr, a, b) call(nr, (word)(a), (word)(b), 0, 0, 0, 0)
#define CALL3(nr, a, b, c) call(nr, (word)(a), (word)(b), (word)(c), 0, 0, 0)
#define CALL4(nr, a, b, c, d) call(nr, (word)(a), (word)(b), (word)(c), (word)(d), 0, 0)
#define CALL5(nr, a, b, c, d, e) call(nr, (word)(a), (word)(b), (word)(c), (word)(d), (word)(e), 0)

enum { AT_FDCWD_ = -100, O_WRONLY_ = 1, O_CREAT_ = 0100, O_TRUNC_ = 01000, O_NONBLOCK_ = 04000, SIGKILL_ = 9, SIGTERM_ = 15, SIGCHLD_ = 17 };

#endif
