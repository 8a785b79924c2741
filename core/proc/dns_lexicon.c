/*
 * dns_lexicon.c - one process for each change. What it says is kept for the
 * case that it fails.
 */
#include "proc/dns_lexicon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"

#define TIMEOUT_MS 120000	/* some providers are slow */
#define SAID_MOST 65536
#define ARGS_MOST 16

struct words {
	char *at[ARGS_MOST];
	size_t n;
};

static void
put(struct words *w, const char *word)
{
	w->at[w->n++] = (char *)(uintptr_t)word;
}

/* MX has its preference apart. */
static void
make_words(struct words *w, const char *provider, const struct zone_change *c,
	struct arena *a)
{
	struct str value = str_from(c->value), first;

	put(w, "lexicon");
	put(w, provider);
	put(w, c->adds ? "create" : "delete");
	put(w, c->home->apex);
	put(w, zone_type_name(c->type));
	put(w, "--name");
	put(w, c->name);
	if (c->type == ZONE_MX) {
		first = str_cut(&value, ' ');
		put(w, "--priority");
		put(w, arena_cstr(a, first));
	}
	put(w, "--content");
	put(w, arena_cstr(a, value));
	if (c->adds) {
		put(w, "--ttl");
		put(w, arena_printf(a, "%lld", (long long)c->ttl));
	}
	put(w, NULL);
}

static void
run_child(const struct words *w, int out)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	dup2(null, 0);
	dup2(out, 1);
	dup2(out, 2);
	execvp(w->at[0], w->at);
	dprintf(2, "%s", errno == ENOENT ? "lexicon is not installed: apt-get "
		"install lexicon" : "lexicon cannot be run");
	_exit(127);
}

/* Until it closes its output; false: its time is over. */
static bool
read_said(int fd, struct buf *said)
{
	struct pollfd p = {fd, POLLIN, 0};
	int64_t end = clock_mono() + TIMEOUT_MS, left;
	char piece[4096];
	ssize_t n;

	while ((left = end - clock_mono()) > 0) {
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = read(fd, piece, sizeof piece);
		if (n <= 0)
			return true;
		if (said->len + (size_t)n > SAID_MOST / 2)
			buf_shift(said, said->len);
		buf_add(said, piece, (size_t)n);
	}
	return false;
}

/* The last line that says anything: Python's errors stand there. */
static struct str
last_line(struct str said)
{
	said = str_trim(said);
	return str_trim(str_sub(said, said.len == str_rfind(said, '\n') ? 0 :
		str_rfind(said, '\n') + 1, said.len));
}

static int
judge(int status, bool in_time, struct str said, struct err *e)
{
	struct str last = last_line(said);

	if (!in_time)
		return err_set(e, ERR_TIMEOUT, "lexicon has not ended within "
			"%d s", TIMEOUT_MS / 1000);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (last.len)
		return err_set(e, ERR_REFUSED, "%.*s", STR_ARGS(last));
	return err_set(e, ERR_REFUSED, "lexicon failed and did not say why");
}

int
dns_lexicon(const char *provider, const struct zone_change *c, struct err *e)
{
	struct words w = {.n = 0};
	struct arena a;
	struct buf said;
	int ends[2], status = 0, code;
	bool in_time;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, "lexicon");
	arena_init(&a);
	buf_init(&said, SAID_MOST);
	make_words(&w, provider, c, &a);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		run_child(&w, ends[1]);
	close(ends[1]);
	in_time = pid > 0 && read_said(ends[0], &said);
	if (pid > 0 && !in_time)
		kill(pid, SIGKILL);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	code = pid < 0 ? err_sys(e, "lexicon") : judge(status, in_time,
		buf_str(&said), e);
	close(ends[0]);
	buf_free(&said);
	arena_free(&a);
	return code;
}
