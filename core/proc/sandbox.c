/*
 * sandbox.c - seccomp, Landlock and limits for a plugin's process.
 *
 * seccomp lists what may be called, and binds all threads. Calls that name a
 * file are among them only if files are granted, and sockets only if the
 * network is. Landlock then says which files; it binds the calling thread and
 * those it starts later, so a plugin whose open started threads of its own
 * cannot be granted files here and is refused.
 *
 * Reading and writing on what is open already stays allowed: that is the
 * worker's socket and what the plugin opened before.
 */
#include "proc/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/str.h"

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define OPEN_FILES 256

#define READS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ALL_V1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
/* Those that make sense for a single file. */
#define FILE_ACCESS (LANDLOCK_ACCESS_FS_EXECUTE | \
	LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	LANDLOCK_ACCESS_FS_TRUNCATE)

int
sandbox_prepare(struct err *e)
{
	struct rlimit none = {0, 0};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, "no_new_privs");
	return setrlimit(RLIMIT_CORE, &none) < 0 ? err_sys(e, "core limit") : 0;
}

/* --------------------------------------------------------------- Landlock */

static unsigned
count_threads(void)
{
	DIR *d = opendir("/proc/self/task");
	const struct dirent *entry;
	unsigned n = 0;

	while (d && (entry = readdir(d)))
		n += entry->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static int
grant(int rules, const char *path, uint64_t all, struct err *e)
{
	struct landlock_path_beneath_attr beneath = {.allowed_access = READS};
	struct stat st;
	int code;

	if (str_starts(str_from(path), "rw:")) {
		path += 3;
		beneath.allowed_access = all & ~(uint64_t)
			LANDLOCK_ACCESS_FS_EXECUTE;
	}
	beneath.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (beneath.parent_fd < 0)
		return err_sys(e, "allow_files: %s", path);
	if (fstat(beneath.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		beneath.allowed_access &= FILE_ACCESS;
	code = (int)syscall(SYS_landlock_add_rule, rules,
		LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
	close(beneath.parent_fd);
	return code < 0 ? err_sys(e, "allow_files: %s", path) : 0;
}

static int
confine_files(const struct mr_list *granted, struct err *e)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs = ALL_V1};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
		LANDLOCK_CREATE_RULESET_VERSION);
	int rules, code = 0;
	size_t i;

	if (abi < 1)
		return err_set(e, ERR_CONFIG, "sandbox: this kernel has no "
			"Landlock, so allow_files cannot be kept to");
	if (count_threads() != 1)
		return err_set(e, ERR_CONFIG, "sandbox: allow_files cannot be "
			"kept to, since the plugin's open starts threads");
	if (abi >= 2)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
	rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr,
		0);
	if (rules < 0)
		return err_sys(e, "landlock_create_ruleset");
	for (i = 0; i < granted->n && code == 0; i++)
		code = grant(rules, granted->item[i], attr.handled_access_fs,
			e);
	if (code == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		code = err_sys(e, "landlock_restrict_self");
	close(rules);
	return code;
}

/* ---------------------------------------------------------------- seccomp */

/* Memory, threads, time, and what is open already. */
static const char *const always[] = {
	"brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "mincore",
	"memfd_create", "futex", "futex_waitv", "set_robust_list", "rseq",
	"get_robust_list", "membarrier", "sched_yield", "sched_getaffinity",
	"set_tid_address", "exit", "exit_group", "gettid", "getpid", "getppid",
	"getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo",
	"getrandom", "clock_gettime", "clock_getres", "clock_nanosleep",
	"nanosleep", "gettimeofday", "time", "timer_create", "timer_settime",
	"timer_gettime", "timer_delete", "timer_getoverrun", "alarm",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend",
	"rt_sigtimedwait", "rt_sigpending", "sigaltstack", "restart_syscall",
	"getrusage", "times", "getcpu", "arch_prctl",
	"read", "readv", "pread64", "preadv", "write", "writev", "pwrite64",
	"pwritev", "lseek", "close", "fstat", "ftruncate", "fsync",
	"fdatasync", "dup", "poll", "ppoll", "select", "pselect6", "pipe",
	"pipe2", "eventfd2", "timerfd_create", "timerfd_settime",
	"timerfd_gettime", "epoll_create1", "epoll_ctl", "epoll_wait",
	"epoll_pwait", "epoll_pwait2",
	"recvmsg", "recvfrom", "sendmsg", "sendto", "shutdown",
};

static const char *const for_files[] = {
	"open", "openat", "openat2", "stat", "lstat", "newfstatat", "statx",
	"access", "faccessat", "faccessat2", "readlink", "readlinkat",
	"getdents64", "getcwd", "flock", "rename", "renameat", "renameat2",
	"unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "fallocate",
	"fadvise64", "utimensat", "statfs", "fstatfs",
};

static const char *const for_network[] = {
	"socket", "socketpair", "connect", "bind", "listen", "accept",
	"accept4", "getsockname", "getpeername", "getsockopt", "setsockopt",
	"sendmmsg", "recvmmsg", "ioctl",
};

static int
allow(scmp_filter_ctx c, const char *const *names, size_t n)
{
	size_t i;
	int nr, code = 0;

	for (i = 0; i < n && code == 0; i++) {
		nr = seccomp_syscall_resolve_name(names[i]);
		/* Those that this machine's kernel never had. */
		if (nr != __NR_SCMP_ERROR && nr >= 0)
			code = seccomp_rule_add(c, SCMP_ACT_ALLOW, nr, 0);
	}
	return code;
}

#define ALLOW(c, list) allow((c), (list), sizeof (list) / sizeof *(list))

/* Threads but no processes; signals to ourselves only; descriptors may be
 * looked at and marked. clone3 hides its flags: glibc then uses clone. */
static int
allow_some(scmp_filter_ctx c)
{
	const scmp_datum_t self = (scmp_datum_t)getpid();
	static const int fcntls[] = {F_GETFD, F_SETFD, F_GETFL, F_SETFL,
		F_DUPFD_CLOEXEC, F_GET_SEALS, F_ADD_SEALS, F_SETLK, F_SETLKW,
		F_GETLK};
	size_t i;
	int code;

	code = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
		SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	if (!code)
		code = seccomp_rule_add(c, SCMP_ACT_ERRNO(ENOSYS),
			SCMP_SYS(clone3), 0);
	if (!code)
		code = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
			SCMP_A0(SCMP_CMP_EQ, self));
	if (!code)
		code = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1,
			SCMP_A0(SCMP_CMP_EQ, self));
	if (!code)
		code = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
			SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
	/* glibc looks at its own limits when it starts a thread. */
	if (!code)
		code = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64),
			2, SCMP_A0(SCMP_CMP_EQ, 0), SCMP_A2(SCMP_CMP_EQ, 0));
	for (i = 0; !code && i < sizeof fcntls / sizeof *fcntls; i++)
		code = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
			SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)fcntls[i]));
	return code;
}

static int
confine_calls(const struct isolation *i, struct err *e)
{
	scmp_filter_ctx c = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int code = c ? 0 : -ENOMEM;

	if (!code)
		code = seccomp_attr_set(c, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!code)
		code = ALLOW(c, always);
	if (!code)
		code = allow_some(c);
	if (!code && i->allow_files.n)
		code = ALLOW(c, for_files);
	if (!code && i->allow_network)
		code = ALLOW(c, for_network);
	if (!code)
		code = seccomp_load(c);
	seccomp_release(c);
	if (!code)
		return 0;
	errno = code < 0 ? -code : code;
	return err_sys(e, "sandbox: seccomp");
}

int
sandbox_enter(const struct isolation *i, struct err *e)
{
	struct rlimit files = {OPEN_FILES, OPEN_FILES};

	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return err_sys(e, "sandbox: limit of files");
	if (i->allow_files.n && confine_files(&i->allow_files, e) < 0)
		return -1;
	return confine_calls(i, e);
}
