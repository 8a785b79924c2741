/*
 * failfs.c - makes the disk fail where a test wants it to.
 *
 * Loaded with LD_PRELOAD into the processes whose command line holds
 * $FAILFS_ROLE. Calls on regular files below $FAILFS_DIR are counted while
 * the control file $FAILFS_CONTROL (five int64, shared with the test) is
 * armed; the nth of the chosen kind fails with the given errno, and with
 * `sticky` all after it too. Not part of the server.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { KIND_WRITE = 1, KIND_SYNC = 2, KIND_GROW = 4 };

struct control {
	_Atomic int64_t kinds;	/* 0: not armed */
	_Atomic int64_t nth;	/* 1 is the first */
	_Atomic int64_t error;
	_Atomic int64_t sticky;
	_Atomic int64_t seen;	/* counted up here */
};

static struct control *control;
static const char *dir;

static bool
is_our_role(const char *role)
{
	char line[4096];
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);

	if (fd >= 0)
		close(fd);
	for (ssize_t i = 0; i < n; i++)
		if (!line[i])
			line[i] = ' ';
	if (n < 0)
		return false;
	line[n] = 0;
	return strstr(line, role) != NULL;
}

__attribute__((constructor)) static void
failfs_start(void)
{
	const char *role = getenv("FAILFS_ROLE");
	const char *path = getenv("FAILFS_CONTROL");
	void *map;
	int fd;

	dir = getenv("FAILFS_DIR");
	if (!role || !path || !dir || !is_our_role(role))
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED,
		fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		control = map;
}

static bool
is_ours(int fd)
{
	char link[40], path[1024];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return false;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	if (n < 0)
		return false;
	path[n] = 0;
	return strncmp(path, dir, strlen(dir)) == 0;
}

/* True if this call is to fail; errno is set. */
static bool
fails(int fd, int kind)
{
	int64_t at;

	if (!control || !(control->kinds & kind) || !is_ours(fd))
		return false;
	at = ++control->seen;
	if (at != control->nth && !(control->sticky && at > control->nth))
		return false;
	errno = (int)control->error;
	return true;
}

#define REAL(name) \
	static __typeof__(name) *real; \
	if (!real) \
		real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* Large-file names are calls of their own. */
#define COUNTED(type, name, kind, failure, params, args) \
	type name params \
	{ \
		static __typeof__(name) *real; \
		if (!real) \
			real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name); \
		return fails(fd, kind) ? (failure) : real args; \
	}

COUNTED(ssize_t, write, KIND_WRITE, -1,
	(int fd, const void *data, size_t len), (fd, data, len))
COUNTED(ssize_t, pwrite, KIND_WRITE, -1,
	(int fd, const void *data, size_t len, off_t at), (fd, data, len, at))
COUNTED(ssize_t, pwrite64, KIND_WRITE, -1,
	(int fd, const void *data, size_t len, off64_t at),
	(fd, data, len, at))
COUNTED(ssize_t, writev, KIND_WRITE, -1,
	(int fd, const struct iovec *iov, int n), (fd, iov, n))
COUNTED(ssize_t, pwritev, KIND_WRITE, -1,
	(int fd, const struct iovec *iov, int n, off_t at), (fd, iov, n, at))
COUNTED(ssize_t, pwritev64, KIND_WRITE, -1,
	(int fd, const struct iovec *iov, int n, off64_t at),
	(fd, iov, n, at))
COUNTED(int, fsync, KIND_SYNC, -1, (int fd), (fd))
COUNTED(int, fdatasync, KIND_SYNC, -1, (int fd), (fd))
COUNTED(int, ftruncate, KIND_GROW, -1, (int fd, off_t size), (fd, size))
COUNTED(int, ftruncate64, KIND_GROW, -1, (int fd, off64_t size), (fd, size))
COUNTED(int, fallocate, KIND_GROW, -1,
	(int fd, int mode, off_t at, off_t len), (fd, mode, at, len))
COUNTED(int, fallocate64, KIND_GROW, -1,
	(int fd, int mode, off64_t at, off64_t len), (fd, mode, at, len))
COUNTED(int, posix_fallocate, KIND_GROW, errno,
	(int fd, off_t at, off_t len), (fd, at, len))
COUNTED(int, posix_fallocate64, KIND_GROW, errno,
	(int fd, off64_t at, off64_t len), (fd, at, len))
