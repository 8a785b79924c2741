/*
 * cli_asan.c - mailroom plugin test --asan: the plugin is built once more with
 * the compiler's sanitizers, and tested in a process of ours that has their
 * runtime loaded before all else.
 */
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "proc/cli_dry.h"
#include "proc/cli_make.h"

#define FLAGS "-g -O1 -fPIC -fno-omit-frame-pointer " \
	"-fsanitize=address,undefined -fno-sanitize-recover=undefined"

struct build {
	char source[PATH_MAX];	/* the file */
	char made[PATH_MAX];	/* folder whose Makefile makes it, or "" */
	char folder[40];	/* ours, where it is built */
	char module[PATH_MAX], runtime[PATH_MAX], include[PATH_MAX];
	const char *compiler;
};

/* NAME.c of a folder NAME, or the file itself. */
static int
find_source(const char *path, struct build *b, struct err *e)
{
	static const char *const suffix[] = {"c", "cc", "cpp"};
	char real[PATH_MAX];
	struct stat st;
	size_t i, n;

	if (!realpath(path, real) || stat(real, &st) < 0)
		return err_sys(e, "%s", path);
	if (!S_ISDIR(st.st_mode)) {
		snprintf(b->source, sizeof b->source, "%s", real);
		n = strlen(real);
		return n > 3 && !strcmp(real + n - 3, ".so") ? err_set(e,
			ERR_CONFIG, "%s is built already: --asan needs the "
			"source, or its folder", path) : 0;
	}
	if (cli_make_is_folder(real))
		memcpy(b->made, real, sizeof real);
	for (i = 0; i < 3; i++) {
		if ((size_t)snprintf(b->source, sizeof b->source, "%s%s.%s",
			real, strrchr(real, '/'), suffix[i]) >=
			sizeof b->source)
			break;
		if (stat(b->source, &st) == 0)
			return 0;
	}
	return err_set(e, ERR_MISSING, "%s has no source of its name in C or "
		"C++", path);
}

/* Runs a program and gives the first line of what it prints. */
static int
first_line(const char *const *argv, char *out, size_t size)
{
	int pair[2], status = -1;
	ssize_t n, at = 0;
	pid_t pid;

	if (pipe(pair) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		dup2(pair[1], 1);
		close(pair[0]);
		close(pair[1]);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(pair[1]);
	while ((n = read(pair[0], out + at, size - 1 - (size_t)at)) > 0)
		at += n;
	close(pair[0]);
	out[at] = '\0';
	out[strcspn(out, "\n")] = '\0';
	if (pid > 0)
		waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* In a copy of the folder, so that what is built there stays; the lines that
 * are named are those of the folder. */
static int
make_copy(struct build *b)
{
	char all[PATH_MAX], flags[2 * PATH_MAX];
	const char *const copy[] = {"cp", "-R", all, b->folder, NULL};
	const char *name = strrchr(b->made, '/') + 1;

	snprintf(all, sizeof all, "%.*s/.", PATH_MAX - 4, b->made);
	snprintf(flags, sizeof flags, FLAGS " -fdebug-prefix-map=%s=%s",
		b->folder, b->made);
	snprintf(b->module, sizeof b->module, "%s/%.*s.so", b->folder,
		NAME_MAX, name);
	return cli_make_run(copy) ? -1 : cli_make(b->folder, name, flags);
}

static int
compile_file(struct build *b)
{
	const char *argv[] = {b->compiler, "-g", "-O1", "-fPIC", "-shared",
		"-fno-omit-frame-pointer", "-fsanitize=address,undefined",
		"-fno-sanitize-recover=undefined", b->include, "-o",
		b->module, b->source, NULL};
	char folder[PATH_MAX];

	snprintf(b->module, sizeof b->module, "%s/plugin.so", b->folder);
	cli_beside("include", folder, sizeof folder);
	snprintf(b->include, sizeof b->include, "-I%.*s", PATH_MAX - 3,
		access(folder, R_OK) < 0 ? INCLUDE_DIR : folder);
	return cli_make_run(argv) ? -1 : 0;
}

static int
compile(struct build *b, struct err *e)
{
	const char *find[] = {b->compiler, "-print-file-name=libasan.so",
		NULL};

	if ((*b->made ? make_copy(b) : compile_file(b)) < 0)
		return err_set(e, ERR_CONFIG, "%s does not build",
			b->source);
	/* A name without a path: the compiler does not have it. */
	if (first_line(find, b->runtime, sizeof b->runtime) < 0 ||
		*b->runtime != '/')
		return err_set(e, ERR_MISSING, "%s has no libasan",
			b->compiler);
	return 0;
}

/* The same command, with the module in place of the source. */
static int
run_again(const struct build *b, const struct cli *c, int argc, char **argv)
{
	const char *args[600] = {"mailroom", "plugin", "test", b->module};
	int status = -1, n = 4, i;
	bool named = false;
	pid_t pid;

	for (i = 0; i < argc && n < 596; i++) {
		if (!strcmp(argv[i], "--asan"))
			continue;
		if (!named && strncmp(argv[i], "--", 2) &&
			(i == 0 || strncmp(argv[i - 1], "--", 2) ||
			!strcmp(argv[i - 1], "--asan"))) {
			named = true;
			continue;
		}
		args[n++] = argv[i];
	}
	if (c->json)
		args[n++] = "--json";
	args[n] = NULL;
	pid = fork();
	if (pid == 0) {
		setenv("LD_PRELOAD", b->runtime, 1);
		setenv("ASAN_OPTIONS", "detect_leaks=1:exitcode=99", 0);
		setenv("UBSAN_OPTIONS", "print_stacktrace=1:exitcode=99", 0);
		execv("/proc/self/exe", (char *const *)args);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

int
cli_test_sanitized(struct cli *c, const char *source, int argc, char **argv)
{
	struct build b = {.folder = "/tmp/mailroom-asan.XXXXXX"};
	struct err e = {0};
	int code = 1;

	if (!mkdtemp(b.folder))
		return err_sys(&e, "%s", b.folder), cli_fail("plugin test",
			&e);
	if (find_source(source, &b, &e) < 0) {
		cli_fail("plugin test", &e);
	} else {
		b.compiler = getenv("CC") ? getenv("CC") :
			str_ends(str_from(b.source), ".c") ? "cc" : "c++";
		code = compile(&b, &e) < 0 ? cli_fail("plugin test", &e) :
			run_again(&b, c, argc, argv);
	}
	cli_make_remove(b.folder);
	if (code == 99)
		fputs("mailroom: plugin test: the sanitizer found a fault; "
			"it is of the message named last above\n", stderr);
	return code;
}
