/*
 * The cell: the one program that Signalbox itself puts into containers. It has no libc, opens no network connection and
 * reads nothing but its arguments and, while it holds a volume, the one file that a train may leave there.
 *
 *   /cell hold                                keeps a volume mounted until SIGTERM, and answers each byte on standard
 *                                             input with /out/result.json on standard output
 *   /cell probe OUT SCRATCH SHM FORKS         tries to break out; one line of facts per attempt into /out/result.json
 *   /cell memory BYTES                        touches that much memory; must not live to the end
 *
 * A line is NAME and decimal numbers; a negative number is an errno. Whether a fact is good is decided outside
 * (verdict.ts), where it can be tested.
 */
#include "syscalls.h"

static char report[8192];
static word reported;

static void text(const char *from) {
  while (*from && reported < sizeof report) report[reported++] = *from++;
}

static void number(long value) {
  char digits[24];
  int at = 0;
  word left = value < 0 ? (word)-value : (word)value;
  do {
    digits[at++] = (char)('0' + left % 10);
    left /= 10;
  } while (left);
  text(value < 0 ? " -" : " ");
  while (at && reported < sizeof report) report[reported++] = digits[--at];
}

static void fact(const char *name, long value) {
  text(name);
  number(value);
  text("\n");
}

static word parse(const char *from) {
  word value = 0;
  while (*from >= '0' && *from <= '9') value = value * 10 + (word)(*from++ - '0');
  return value;
}

static _Noreturn void leave(int status) {
  for (;;) CALL1(NR_exit, status);
}

static long open_at(const char *path, int flags) { return CALL4(NR_openat, AT_FDCWD_, path, flags, 0755); }

/* Writes until refused or `most` bytes; `path` keeps nothing. */
static void fill(const char *name, const char *path, word most) {
  static char block[65536];
  word written = 0;
  long result = open_at(path, O_WRONLY_ | O_CREAT_ | O_TRUNC_);
  if (result >= 0) {
    long file = result;
    while (written < most) {
      result = CALL3(NR_write, file, block, sizeof block);
      if (result <= 0) break;
      written += (word)result;
    }
    CALL1(NR_close, file);
    CALL3(NR_unlinkat, AT_FDCWD_, path, 0);
  }
  text(name);
  number((long)written);
  number(result < 0 ? result : 0);
  text("\n");
}

static void try_writing(const char *name, const char *path, int flags) {
  long file = open_at(path, O_WRONLY_ | flags);
  if (file >= 0) CALL1(NR_close, file);
  fact(name, file < 0 ? file : 0);
}

static void probe_user(void) {
  text("user");
  number(CALL0(NR_getuid));
  number(CALL0(NR_geteuid));
  number(CALL0(NR_getgid));
  number(CALL0(NR_getegid));
  /* Without a list of its own, a process holds at most its primary group. */
  number(CALL2(NR_getgroups, 0, 0));
  text("\n");
}

static void probe_privileges(void) {
  unsigned header[2] = {0x20080522, 0}, sets[6] = {0, 0, 0, 0, 0, 0};
  long bounding = 0;
  long result = CALL2(NR_capget, header, sets);
  for (int capability = 0; capability < 64; capability++) {
    if (CALL2(NR_prctl, 24 /* PR_CAPBSET_READ */, capability) == 1) bounding++;
  }
  text("capabilities");
  number(result < 0 ? result : (long)(sets[0] | sets[1] | sets[2] | sets[3] | sets[4] | sets[5]));
  number(bounding);
  text("\n");
  fact("no-new-privileges", CALL5(NR_prctl, 39 /* PR_GET_NO_NEW_PRIVS */, 0, 0, 0, 0));
  fact("device", CALL4(NR_mknodat, AT_FDCWD_, "/tmp/device", 0020600, 0x103));
}

static long refused(long result) { return result < 0 ? result : 0; }

/* In a child, since it would change the caller; killed for it counts as refused, with the signal's number. */
static long refused_in_child(long nr, word a) {
  int status = 0;
  long child = CALL1(NR_clone, SIGCHLD_);
  if (child == 0) leave((int)-refused(CALL1(nr, a)));
  if (child < 0) return 0; /* not tried is not refused */
  if (CALL4(NR_wait4, child, &status, 0, 0) != child) return 0;
  return status & 0x7f ? -1000 - (status & 0x7f) : -(status >> 8 & 0xff);
}

static void probe_calls(void) {
  fact("io_uring_setup", refused(CALL2(NR_io_uring_setup, 0, 0)));
  fact("keyctl", refused(CALL3(NR_keyctl, 0 /* GET_KEYRING_ID */, -3, 0)));
  fact("userfaultfd", refused(CALL1(NR_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */)));
  fact("bpf", refused(CALL3(NR_bpf, 0xffff, 0, 0)));
  fact("perf_event_open", refused(CALL5(NR_perf_event_open, 0, 0, -1, -1, 0)));
  fact("ptrace", refused_in_child(NR_ptrace, 0 /* TRACEME */));
  fact("process_vm_readv", refused(CALL5(NR_process_vm_readv, 1, 0, 0, 0, 0)));
  fact("mount", refused(CALL5(NR_mount, "none", "/tmp", "tmpfs", 0, 0)));
  fact("unshare", refused_in_child(NR_unshare, 0x10000000 /* CLONE_NEWUSER */));
}

/* A datagram socket's connect() only asks for a route: nothing is sent. */
static void probe_route(const char *name, int family, const void *address, word bytes) {
  long file = CALL3(NR_socket, family, 2 /* SOCK_DGRAM */, 0);
  long result = file < 0 ? file : CALL3(NR_connect, file, address, bytes);
  if (file >= 0) CALL1(NR_close, file);
  fact(name, refused(result));
}

/* Lines of a table of the kernel's that are not about the loopback device, or the error that hid the table. */
static long others(const char *path) {
  static char table[16384];
  long file = open_at(path, 0), held = 0, bytes = 0, count = 0;
  if (file < 0) return file;
  while (held < (long)sizeof table && (bytes = CALL3(NR_read, file, table + held, sizeof table - (word)held)) > 0) held += bytes;
  CALL1(NR_close, file);
  if (bytes < 0) return bytes;
  for (long at = 0, loopback = 0; at < held; at++) {
    char next = at + 2 < held ? table[at + 2] : '\n';
    if (table[at] == 'l' && at + 1 < held && table[at + 1] == 'o' && (next == ':' || next == '\n') && (at == 0 || table[at - 1] == ' ')) loopback = 1;
    if (table[at] == '\n') {
      count += !loopback;
      loopback = 0;
    }
  }
  return count;
}

static void probe_network(void) {
  /* Addresses reserved for documentation: 192.0.2.1 and 2001:db8::1, port 9. */
  static const unsigned char v4[16] = {2, 0, 0, 9, 192, 0, 2, 1};
  static const unsigned char v6[28] = {10, 0, 0, 9, 0, 0, 0, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  long interfaces = others("/proc/net/dev"), routes = others("/proc/net/route");
  /* Two lines and one line of heading. */
  fact("interfaces", interfaces < 0 ? interfaces : interfaces - 2);
  fact("routes", routes < 0 ? routes : routes - 1);
  fact("addresses-ipv6", others("/proc/net/if_inet6"));
  probe_route("route-ipv4", 2, v4, sizeof v4);
  probe_route("route-ipv6", 10, v6, sizeof v6);
  long file = CALL3(NR_socket, 40 /* AF_VSOCK */, 1, 0);
  if (file >= 0) CALL1(NR_close, file);
  fact("vsock", refused(file));
}

static void probe_forks(word most) {
  word born = 0;
  long child = 0;
  while (born < most) {
    child = CALL1(NR_clone, SIGCHLD_);
    if (child == 0) {
      CALL5(NR_ppoll, 0, 0, 0, 0, 8);
      leave(0);
    }
    if (child < 0) break;
    born++;
  }
  CALL2(NR_kill, -1, SIGKILL_);
  while (CALL4(NR_wait4, -1, 0, 0, 0) > 0) continue;
  text("forks");
  number((long)born);
  number(refused(child));
  text("\n");
}

static void probe_exec(void) {
  const char *const none[1] = {0};
  long file = open_at("/tmp/program", O_WRONLY_ | O_CREAT_);
  if (file >= 0) CALL1(NR_close, file);
  fact("exec-scratch", file < 0 ? file : CALL3(NR_execve, "/tmp/program", none, none));
  CALL3(NR_unlinkat, AT_FDCWD_, "/tmp/program", 0);
}

static void probe_limit(const char *name, int resource) {
  word limit[2] = {0, 0};
  long result = CALL4(NR_prlimit64, 0, resource, 0, limit);
  fact(name, result < 0 ? result : (long)(limit[1] >> 1 > 0x3fffffffffffffff ? 0x3fffffffffffffff : limit[1]));
}

static void probe_kernel(void) {
  static char names[6][65];
  CALL1(NR_uname, names);
  text("kernel ");
  text(names[2]);
  text("\n");
}

static int put(long file, const char *bytes, word count) {
  while (count) {
    long written = CALL3(NR_write, file, bytes, count);
    if (written <= 0) return 4;
    bytes += written;
    count -= (word)written;
  }
  return 0;
}

static int deliver(const char *bytes, word count) {
  long file = open_at("/out/result.json", O_WRONLY_ | O_CREAT_ | O_TRUNC_);
  if (file < 0) return 3;
  int refusal = put(file, bytes, count);
  if (refusal) return refusal;
  return CALL1(NR_close, file) == 0 ? 0 : 5;
}

static int probe(char **argument) {
  probe_kernel();
  probe_user();
  probe_privileges();
  probe_network();
  try_writing("write-root", "/open/file", O_CREAT_);
  try_writing("write-top", "/file", O_CREAT_);
  try_writing("write-run", "/run/file", O_CREAT_);
  try_writing("write-var-tmp", "/var/tmp/file", O_CREAT_);
  try_writing("write-dev", "/dev/file", O_CREAT_);
  try_writing("write-core-pattern", "/proc/sys/kernel/core_pattern", 0);
  try_writing("write-bound-file", "/train/request.json", 0);
  fact("read-bound-file", refused(open_at("/train/request.json", 0)));
  probe_calls();
  probe_limit("limit-files", 7);
  probe_limit("limit-core", 4);
  probe_exec();
  fill("fill-out", "/out/fill", parse(argument[2]));
  fill("fill-scratch", "/tmp/fill", parse(argument[3]));
  fill("fill-shm", "/dev/shm/fill", parse(argument[4]));
  probe_forks(parse(argument[5]));
  text("end 1\n");
  return deliver(report, reported);
}

static int touch(word bytes) {
  long start = call(NR_mmap, 0, bytes, 3 /* read, write */, 0x22 /* private, anonymous */, (word)-1, 0);
  if (start < 0) return 6;
  for (word at = 0; at < bytes; at += 4096) ((volatile char *)start)[at] = 1;
  return 7;
}

/*
 * A line "file SIZE", "none" or "refused WHY", and after "file" that many bytes. A link is not followed, a pipe is not
 * waited for, and only a regular file is read.
 */
static void hand_out(void) {
  static char block[65536], status[256];
  long file = CALL4(NR_openat, AT_FDCWD_, "/out/result.json", O_NOFOLLOW_ | O_NONBLOCK_, 0);
  long known = file < 0 ? file : CALL5(NR_statx, file, "", 0x1000 /* AT_EMPTY_PATH */, 0x7ff /* basic */, status);
  word kind = *(unsigned short *)(void *)(status + 28) >> 12, left = *(word *)(void *)(status + 40);
  int regular = known >= 0 && kind == 8 /* S_IFREG */;
  reported = 0;
  if (file == -2 /* ENOENT */) text("none\n");
  else if (regular) fact("file", (long)left);
  else fact("refused", known < 0 ? known : (long)kind);
  put(1, report, reported);
  while (regular && left) {
    long held = CALL3(NR_read, file, block, left < sizeof block ? left : sizeof block);
    if (held <= 0 || put(1, block, (word)held)) break;
    left -= (word)held;
  }
  if (file >= 0) CALL1(NR_close, file);
}

static int hold(void) {
  long child = CALL1(NR_clone, SIGCHLD_);
  if (child == 0) {
    char knock;
    while (CALL3(NR_read, 0, &knock, 1) == 1) hand_out();
    for (;;) CALL5(NR_ppoll, 0, 0, 0, 0, 8);
  }
  /* A blocked signal reaches even the first process of a container, which has no default actions. */
  word set = (1ul << (SIGTERM_ - 1)) | (1ul << (2 - 1));
  CALL4(NR_rt_sigprocmask, 0, &set, 0, 8);
  while (CALL4(NR_rt_sigtimedwait, &set, 0, 0, 8) < 0) continue;
  if (child > 0) CALL2(NR_kill, child, SIGKILL_);
  return 0;
}

__attribute__((used)) _Noreturn void start(word *stack) {
  word count = stack[0];
  char **argument = (char **)(stack + 1);
  char mode = count > 1 ? argument[1][0] : 0;
  if (mode == 'h') leave(hold());
  if (mode == 'p' && count == 6) leave(probe(argument));
  if (mode == 'm' && count == 3) leave(touch(parse(argument[2])));
  leave(2);
}
