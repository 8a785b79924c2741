/*
 * cli_make.c - running make in a plugin's folder.
 */
#include "proc/cli_make.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "proc/cli.h"

bool
cli_make_is_folder(const char *path)
{
	char makefile[PATH_MAX];

	snprintf(makefile, sizeof makefile, "%s/Makefile", path);
	return access(makefile, R_OK) == 0;
}

int
cli_make_run(const char *const *argv)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		dup2(2, 1);
		execvp(argv[0], (char *const *)argv);
		fprintf(stderr, "mailroom: %s: %s\n", argv[0],
			strerror(errno));
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 127;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 127;
}

/* In a build tree our headers lie beside us; installed, the Makefile knows
 * where. */
static void
add_include(const char **argv, size_t *n, char *text, size_t size)
{
	char path[PATH_MAX];

	cli_beside("include/mailroom/plugin.h", path, sizeof path);
	if (access(path, R_OK) < 0)
		return;
	cli_beside("include", path, sizeof path);
	snprintf(text, size, "CPPFLAGS=-I%s", path);
	argv[(*n)++] = text;
}

int
cli_make(const char *folder, const char *name, const char *flags)
{
	char target[NAME_MAX + 4], include[PATH_MAX + 16];
	char cflags[PATH_MAX * 3], cxxflags[PATH_MAX * 3];
	const char *argv[16] = {"make", "-s", "--no-print-directory", "-C",
		folder, target};
	size_t n = 6;

	snprintf(target, sizeof target, "%s.so", name);
	add_include(argv, &n, include, sizeof include);
	if (flags) {
		snprintf(cflags, sizeof cflags, "CFLAGS=%s", flags);
		snprintf(cxxflags, sizeof cxxflags, "CXXFLAGS=-std=c++20 %s",
			flags);
		argv[n++] = "-B";
		argv[n++] = cflags;
		argv[n++] = cxxflags;
	}
	return cli_make_run(argv) == 0 ? 0 : -1;
}

static bool
is_product(const char *name)
{
	static const char *const suffix[] = {".so", ".o", ".d", ".a", "~",
		".swp"};
	size_t i;

	for (i = 0; i < sizeof suffix / sizeof *suffix; i++)
		if (str_ends(str_from(name), suffix[i]))
			return true;
	return *name == '.';
}

struct timespec
cli_make_written(const char *folder)
{
	struct timespec last = {0, 0};
	struct dirent *entry;
	struct stat st;
	DIR *d = opendir(folder);

	while (d && (entry = readdir(d))) {
		if (is_product(entry->d_name) || fstatat(dirfd(d),
			entry->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (st.st_mtim.tv_sec > last.tv_sec ||
			(st.st_mtim.tv_sec == last.tv_sec &&
			st.st_mtim.tv_nsec > last.tv_nsec))
			last = st.st_mtim;
	}
	if (d)
		closedir(d);
	return last;
}

static int
remove_one(const char *path, const struct stat *st, int type,
	struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	remove(path);
	return 0;
}

void
cli_make_remove(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
