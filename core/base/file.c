/*
 * file.c - whole-file helpers. May block on disk.
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int
file_write_all(int fd, const void *bytes, size_t len, struct err *e)
{
	const char *at = bytes;
	ssize_t n;

	while (len) {
		n = write(fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "write");
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int
file_pread_all(int fd, void *out, size_t len, uint64_t offset, struct err *e)
{
	char *at = out;
	ssize_t n;

	while (len) {
		n = pread(fd, at, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "read");
		if (n == 0)
			return err_set(e, ERR_SYS, "read: unexpected end of "
				"file");
		at += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int
file_read(const char *path, size_t max, struct arena *a, struct str *out,
	struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), code = -1;
	struct stat st;
	char *at;

	if (fd < 0)
		return err_sys(e, "%s", path);
	if (fstat(fd, &st) < 0) {
		err_sys(e, "%s", path);
	} else if (!S_ISREG(st.st_mode)) {
		err_set(e, ERR_SYS, "%s: not a regular file", path);
	} else if ((uint64_t)st.st_size > max) {
		err_set(e, ERR_FULL, "%s: larger than %zu bytes", path, max);
	} else {
		at = arena_alloc(a, (size_t)st.st_size + 1);
		code = file_pread_all(fd, at, (size_t)st.st_size, 0, e);
		*out = str_of(at, (size_t)st.st_size);
		if (code < 0)
			err_wrap(e, "%s", path);
	}
	close(fd);
	return code;
}

/* Makes a rename or a new name in the folder of path survive a power cut. */
static int
sync_folder(const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char folder[4096];
	int fd, code;

	snprintf(folder, sizeof folder, "%.*s",
		slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "%s", folder);
	code = fsync(fd) < 0 ? err_sys(e, "%s", folder) : 0;
	close(fd);
	return code;
}

int
file_replace(const char *path, struct str content, int mode, struct err *e)
{
	char temp[4096];
	int fd;

	if (snprintf(temp, sizeof temp, "%s.%d.new", path, (int)getpid()) >=
		(int)sizeof temp)
		return err_set(e, ERR_SYS, "%s: name too long", path);
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	if (fd < 0)
		return err_sys(e, "%s", temp);
	if (file_write_all(fd, content.at, content.len, e) < 0)
		goto out;
	if (fchmod(fd, (mode_t)mode) < 0 || fsync(fd) < 0) {
		err_sys(e, "%s", temp);
		goto out;
	}
	close(fd);
	fd = -1;
	if (rename(temp, path) < 0) {
		err_sys(e, "%s", path);
		goto out;
	}
	return sync_folder(path, e);
out:
	if (fd >= 0)
		close(fd);
	unlink(temp);
	return -1;
}

int
file_temp(const char *dir, struct err *e)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char path[4096];

	if (fd >= 0)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return err_sys(e, "temporary file in %s", dir);
	/* A file system without O_TMPFILE. */
	snprintf(path, sizeof path, "%s/spool.XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "%s", path);
	unlink(path);
	return fd;
}

int
file_mkdirs(const char *path, int mode, struct err *e)
{
	char part[4096], *slash;
	struct stat st;

	if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
		return err_set(e, ERR_SYS, "%s: name too long", path);
	for (slash = strchr(part + 1, '/'); slash;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return err_sys(e, "%s", part);
		*slash = '/';
	}
	if (mkdir(part, (mode_t)mode) == 0)
		return 0;
	if (errno != EEXIST)
		return err_sys(e, "%s", part);
	if (stat(part, &st) < 0)
		return err_sys(e, "%s", part);
	return S_ISDIR(st.st_mode) ? 0 :
		err_set(e, ERR_SYS, "%s: not a folder", part);
}
