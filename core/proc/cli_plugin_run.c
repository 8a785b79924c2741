/*
 * cli_plugin_run.c - mailroom plugin run: a server that is there for one
 * plugin, until it is interrupted, and leaves nothing behind.
 *
 * It listens on loopback only, on ports that are free. Whenever the module's
 * file changes it is reloaded, so that `make` in another terminal is all that
 * a change takes; with --rebuild not even that.
 */
#include "proc/cli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/enc.h"
#include "base/file.h"
#include "proc/cli_make.h"

#define LOOK_EVERY_MS 300
#define ACCOUNT "you@example.test"

struct run {
	char folder[40], config[64], module[PATH_MAX], password[16];
	int smtp, imap;
	pid_t server;
	struct timespec changed;	/* the module's file */
	char source[PATH_MAX];		/* folder of it, or "" */
	bool rebuilds;
	struct timespec written;	/* what is in that folder */
};

static volatile sig_atomic_t ended;

static void
end(int signal)
{
	(void)signal;
	ended = 1;
}

/* ------------------------------------------------------------- setting up */

static int
free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = 0;

	if (bind(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
		getsockname(fd, (struct sockaddr *)&a, &len) == 0)
		port = ntohs(a.sin_port);
	close(fd);
	return port;
}

/* In a build tree the store lies beside us; installed it is where the
 * configuration looks for itself. */
static void
add_store(struct buf *b)
{
	char path[PATH_MAX];

	cli_beside("plugins/sqlite/sqlite.so", path, sizeof path);
	buf_adds(b, "[plugin.sqlite]\n");
	if (access(path, R_OK) == 0)
		buf_addf(b, "module = '%s'\n", path);
}

static int
write_config(struct run *r, int n_set, char **set, struct err *e)
{
	struct buf b;
	int i, code;

	buf_init(&b, BUF_NO_CAP);
	buf_addf(&b, "hostname = \"mail.example.test\"\ndata = \"%s/data\"\n"
		"%s[log]\nlevel = \"info\"\n"
		"[listen.mx]\nprotocol = \"smtp\"\ntls = \"none\"\n"
		"address = [\"127.0.0.1:%d\"]\n"
		"[listen.imap]\nprotocol = \"imap\"\ntls = \"none\"\n"
		"address = [\"127.0.0.1:%d\"]\n"
		"[limits]\ncleartext_loopback = true\n"
		/* What is wrong with the plugin its author wants to see. */
		"[workers]\nsmtp = 1\nprobation = \"0s\"\n"
		"[smtp]\nreverse_dns = false\n"
		"xclient_networks = [\"127.0.0.1\"]\n"
		"[chain]\ninbound = [\"test\"]\n", r->folder,
		getuid() == 0 ? "user = \"nobody\"\n" : "", r->smtp, r->imap);
	add_store(&b);
	buf_addf(&b, "[plugin.test]\nmodule = '%s'\n", r->module);
	for (i = 0; i < n_set; i++)
		buf_addf(&b, "%s\n", set[i]);
	code = file_replace(r->config, buf_str(&b), 0644, e);
	buf_free(&b);
	return code;
}

/* Another call of ours, with our configuration; its standard input is
 * `input`. The exit status. */
static int
call(const struct run *r, const char *input, const char *const *words)
{
	const char *argv[12] = {"mailroom", "--config", r->config};
	char path[PATH_MAX];
	int pair[2], status = -1, n = 3;
	pid_t pid;

	while (*words)
		argv[n++] = *words++;
	argv[n] = NULL;
	cli_beside("mailroom", path, sizeof path);
	if (pipe(pair) < 0)
		return 1;
	pid = fork();
	if (pid == 0) {
		dup2(pair[0], 0);
		close(pair[0]);
		close(pair[1]);
		execv(path, (char *const *)argv);
		_exit(127);
	}
	close(pair[0]);
	file_write_all(pair[1], input, strlen(input), NULL);
	close(pair[1]);
	if (pid > 0)
		waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int
make_account(struct run *r)
{
	static const char *const domain[] = {"domain", "add", "example.test",
		NULL}, *const account[] = {"account", "add", ACCOUNT,
		"--password-stdin", NULL};
	char line[24];

	enc_random_word(r->password, 10);
	snprintf(line, sizeof line, "%s\n", r->password);
	return call(r, "", domain) || call(r, line, account) ? 1 : 0;
}

/* Root's server runs as somebody else. */
static int
make_data(const struct run *r, struct err *e)
{
	const struct passwd *nobody = getuid() == 0 ? getpwnam("nobody") :
		NULL;
	char path[64];

	snprintf(path, sizeof path, "%s/data", r->folder);
	if (mkdir(path, 0700) < 0 || (nobody && chown(path, nobody->pw_uid,
		nobody->pw_gid) < 0))
		return err_sys(e, "%s", path);
	return 0;
}

static const char *
name_of(const struct run *r)
{
	return strrchr(r->source, '/') + 1;
}

/* A module, or a folder that makes one. */
static int
find_module(struct run *r, const char *path, struct err *e)
{
	if (!realpath(path, r->module))
		return err_sys(e, "%s", path);
	if (!cli_make_is_folder(r->module))
		return r->rebuilds ? err_set(e, ERR_CONFIG, "--rebuild needs "
			"a folder with a Makefile") : 0;
	memcpy(r->source, r->module, sizeof r->source);
	r->written = cli_make_written(r->source);
	if (cli_make(r->source, name_of(r), NULL) < 0)
		return err_set(e, ERR_CONFIG, "%s does not build", path);
	snprintf(r->module, sizeof r->module, "%.*s/%.*s.so", PATH_MAX / 2,
		r->source, PATH_MAX / 2 - 8, name_of(r));
	return 0;
}

static int
set_up(struct run *r, const char *path, int n_set, char **set)
{
	struct err e = {0};

	if (find_module(r, path, &e) < 0)
		return cli_fail("plugin run", &e);
	snprintf(r->folder, sizeof r->folder, "/tmp/mailroom-run.XXXXXX");
	if (!mkdtemp(r->folder) || chmod(r->folder, 0755) < 0)
		return err_sys(&e, "%s", r->folder),
			cli_fail("plugin run", &e);
	snprintf(r->config, sizeof r->config, "%s/config.toml", r->folder);
	r->smtp = free_port();
	r->imap = free_port();
	if (make_data(r, &e) < 0 || write_config(r, n_set, set, &e) < 0)
		return cli_fail("plugin run", &e);
	return make_account(r);
}

/* ---------------------------------------------------------------- running */

static pid_t
start_server(const struct run *r)
{
	char path[PATH_MAX];
	pid_t pid = fork();

	if (pid)
		return pid;
	cli_beside("mailroomd", path, sizeof path);
	execl(path, "mailroomd", "--config", r->config,
		"--foreground", (char *)NULL);
	_exit(127);
}

static void
print_help(const struct run *r)
{
	printf("A server with %s in its inbound chain; Ctrl-C ends it and "
		"removes all.\n\n"
		"  send:  swaks --server 127.0.0.1:%d --from a@example.net --to "
		ACCOUNT "\n"
		"         (--xclient ADDR=192.0.2.7 makes it come from elsewhere)"
		"\n"
		"  read:  curl --user '" ACCOUNT ":%s' "
		"'imap://127.0.0.1:%d/INBOX;MAILINDEX=*'\n"
		"  The file is taken anew whenever %s changes.\n\n", r->module,
		r->smtp, r->password, r->imap,
		r->rebuilds ? "its source" : "it");
	fflush(stdout);
}

static bool
has_changed(struct run *r)
{
	struct stat st;
	bool changed;

	/* While it is being built it may not be there. */
	if (stat(r->module, &st) < 0 || st.st_size == 0)
		return false;
	changed = st.st_mtim.tv_sec != r->changed.tv_sec ||
		st.st_mtim.tv_nsec != r->changed.tv_nsec;
	r->changed = st.st_mtim;
	return changed;
}

static void
rebuild(struct run *r)
{
	struct timespec now = cli_make_written(r->source);

	if (now.tv_sec == r->written.tv_sec &&
		now.tv_nsec == r->written.tv_nsec)
		return;
	r->written = now;
	printf("make %s.so\n", name_of(r));
	fflush(stdout);
	/* What is wrong was said; what was built before goes on. */
	cli_make(r->source, name_of(r), NULL);
}

/* Until we are told to end, or the server ends. Its exit status. */
static int
watch(struct run *r)
{
	static const char *const reload[] = {"reload", NULL};
	const struct timespec pause = {0, LOOK_EVERY_MS * 1000000};
	int status = 0;
	pid_t got = 0;

	has_changed(r);
	while (!ended && (got = waitpid(r->server, &status, WNOHANG)) == 0) {
		nanosleep(&pause, NULL);
		if (r->rebuilds)
			rebuild(r);
		if (!has_changed(r))
			continue;
		/* The linker writes it in pieces. */
		do
			nanosleep(&pause, NULL);
		while (has_changed(r));
		call(r, "", reload);
	}
	if (got == 0) {
		kill(r->server, SIGTERM);
		waitpid(r->server, &status, 0);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int
plugin_run(struct cli *c, int argc, char **argv)
{
	struct sigaction stop = {.sa_handler = end};
	struct run r = {.server = -1};
	char *set[32];
	int i, n_set = 0, code;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--rebuild"))
			r.rebuilds = true;
		else if (!strcmp(argv[i], "--set") && i + 1 < argc &&
			n_set < 32)
			set[n_set++] = argv[++i];
		else
			break;
	if (i != argc)
		return cli_usage(c, "--set takes KEY=VALUE");
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
	code = set_up(&r, argv[0], n_set, set);
	if (!code) {
		r.server = start_server(&r);
		print_help(&r);
		code = r.server < 0 ? 1 : watch(&r);
	}
	if (*r.folder)
		cli_make_remove(r.folder);
	return code;
}

const struct cli_verb cli_plugin_run_verbs[] = {
	{"plugin", "run", 1, 65, plugin_run, 
		"FOLDER|FILE.so [--rebuild] [--set KEY=VALUE]",
		"a throw-away server with this plugin; reloads what is rebuilt"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
