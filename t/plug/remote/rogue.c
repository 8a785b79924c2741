/*
 * rogue.c - a filter that does everything: it works on each hook, and does
 * what the subject of the mail, or its helo name, orders. Only for tests.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mailroom/plugin.h>

struct config {
	const char *mark;
	int64_t opened;
};

struct session {
	int hooks;
	char helo[64];
};

struct message {
	int rcpts;
	char *sender;
};

static const struct mr_setting settings[] = {
	{"mark", MR_TEXT, 0, offsetof(struct config, mark), "\"none\"", 0, 0,
		NULL, "Is written into a field."},
	MR_SETTINGS_END
};

static int
open_rogue(void *config, struct mr_open *o)
{
	struct config *c = config;

	if (!strcmp(c->mark, "refuse")) {
		snprintf(o->error, o->error_size, "it does not want to");
		return -1;
	}
	c->opened++;
	return 0;
}

/* ----------------------------------------------------- what it is told to */

static void
spin(void)
{
	for (volatile unsigned i = 0;; i++)
		;
}

static void
leak(void)
{
	for (int i = 0; i < 4096; i++) {
		char *p = malloc(1 << 20);

		if (!p)
			abort();
		memset(p, 1, 1 << 20);
	}
}

static const char *
try(int code)
{
	return code < 0 ? "refused" : "done";
}

/* Each forbidden thing, and whether it worked. */
static void
probe(struct mr_call *call)
{
	char text[200];
	int file = open("/tmp/rogue-was-here", O_CREAT | O_WRONLY, 0600);
	int read_only = open("/etc/passwd", O_RDONLY);
	int sock = socket(AF_INET, SOCK_STREAM, 0);
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	if (child > 0)
		waitpid(child, NULL, 0);
	snprintf(text, sizeof text, "write=%s read=%s socket=%s fork=%s "
		"kill=%s", try(file), try(read_only), try(sock), try(child),
		try(kill(getppid(), 0)));
	if (file >= 0) {
		close(file);
		unlink("/tmp/rogue-was-here");
	}
	if (read_only >= 0)
		close(read_only);
	if (sock >= 0)
		close(sock);
	mr_header_add(call, "X-Probe", text);
}

static void
nap(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* Crashes where it is not in a sandbox. */
static void
crash_unless_confined(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd >= 0)
		raise(SIGSEGV);
}

static enum mr_verdict
obey(struct mr_call *call, const char *order)
{
	if (strstr(order, "segv"))
		raise(SIGSEGV);
	if (strstr(order, "abort"))
		abort();
	if (strstr(order, "exit"))
		_exit(7);
	if (strstr(order, "hang"))
		for (;;)
			pause();
	if (strstr(order, "spin"))
		spin();
	if (strstr(order, "leak"))
		leak();
	if (strstr(order, "once"))
		crash_unless_confined();
	if (strstr(order, "nap"))
		nap(20);
	if (strstr(order, "nonsense frame")) {
		/* Whatever the process's open sockets are. */
		for (int fd = 3; fd < 40; fd++)
			if (send(fd, "\xff\xff\xff\x7f garbage", 12,
				MSG_NOSIGNAL) < 0)
				continue;
		nap(2000);
	}
	if (strstr(order, "verdict"))
		return (enum mr_verdict)4711;
	if (strstr(order, "reject")) {
		mr_say(call, 554, "5.7.9", "Not this\none");
		mr_header_add(call, "X-Gone", "with the refusal");
		return MR_REJECT;
	}
	if (strstr(order, "quarantine")) {
		mr_say(call, 0, NULL, "looks odd");
		return MR_QUARANTINE;
	}
	if (strstr(order, "discard"))
		return MR_DISCARD;
	if (strstr(order, "probe"))
		probe(call);
	return MR_PASS;
}

/* -------------------------------------------------------------- the hooks */

static enum mr_verdict
on_connect(struct mr_call *call)
{
	struct session *s = call->session;

	s->hooks++;
	return strstr(mr_fact(call, MR_FACT_PEER_NAME), "crash") ?
		obey(call, "segv") : MR_PASS;
}

static enum mr_verdict
on_helo(struct mr_call *call, const char *name)
{
	struct session *s = call->session;

	s->hooks++;
	snprintf(s->helo, sizeof s->helo, "%s", name);
	return obey(call, name);
}

static enum mr_verdict
on_mail(struct mr_call *call, const char *sender)
{
	struct session *s = call->session;
	struct message *m = call->message;

	s->hooks++;
	m->sender = call->host->message_alloc(call, strlen(sender) + 1);
	memcpy(m->sender, sender, strlen(sender) + 1);
	return strstr(sender, "refused") ? obey(call, "reject") : MR_PASS;
}

static enum mr_verdict
on_rcpt(struct mr_call *call, const char *rcpt, const char *args)
{
	struct session *s = call->session;
	struct message *m = call->message;
	struct mr_rcpt first;

	(void)args;
	s->hooks++;
	m->rcpts++;
	if (call->host->rcpt(call, 0, &first) < 0 || !first.address.len)
		return MR_TEMPFAIL;
	return strstr(rcpt, "refused") ? obey(call, "reject") : MR_PASS;
}

/* Edits of all kinds, each of which depends on the one before. */
static void
edit(struct mr_call *call)
{
	const struct mr_host *h = call->host;
	struct mr_header f;
	struct mr_result r = {.size = sizeof r, .method = "x-rogue",
		.value = "pass", .reason = "of course"};
	char text[200];
	size_t n = 0;

	h->header_insert(call, 0, "X-Top", "above all");
	h->header_insert(call, 1, "X-Below", "right below Received");
	h->header_insert(call, 3, "X-Third", "further down");
	while (h->header(call, n, &f) == 0) {
		if (!strcasecmp(f.name.at, "X-Change"))
			h->header_change(call, f.id, NULL, "changed\n folded");
		if (!strcasecmp(f.name.at, "X-Third"))
			h->header_change(call, f.id, "X-Renamed", "by its id");
		if (!strcasecmp(f.name.at, "X-Remove"))
			h->header_remove(call, f.id);
		else
			n++;
	}
	snprintf(text, sizeof text, "%zu fields, body %llu", n,
		(unsigned long long)h->body_size(call));
	h->header_add(call, "X-Count", text);
	h->header_exact(call, 1);
	h->header_add(call, "X-Exact", "no blank");
	h->header_exact(call, 0);
	h->rcpt_add(call, "added@example.test", NULL);
	h->rcpt_remove(call, "two@example.test");
	h->sender_change(call, "changed@example.test", NULL);
	snprintf(text, sizeof text, "%s", mr_fact(call, MR_FACT_SENDER));
	h->header_add(call, "X-Sender", text);
	h->result_add(call, &r);
	if (h->result(call, 0, &r) == 0)
		h->header_add(call, "X-Result", r.method);
}

static void
sum_body(struct mr_call *call)
{
	unsigned char part[5000];
	uint64_t at = 0;
	unsigned long sum = 0;
	char text[100];
	int64_t n, i;

	while ((n = call->host->body_read(call, at, part, sizeof part)) > 0) {
		for (i = 0; i < n; i++)
			sum = sum * 31 + part[i];
		at += (uint64_t)n;
	}
	snprintf(text, sizeof text, "%lld %llu %lu", (long long)n,
		(unsigned long long)at, sum);
	mr_header_add(call, "X-Sum", text);
}

static enum mr_verdict
on_message(struct mr_call *call)
{
	struct session *s = call->session;
	struct message *m = call->message;
	struct config *c = call->config;
	struct mr_header f;
	char order[300] = "", text[300];
	size_t i;

	s->hooks++;
	for (i = 0; call->host->header(call, i, &f) == 0; i++)
		if (!strcasecmp(f.name.at, "Subject"))
			snprintf(order, sizeof order, "%s", f.value.at);
	snprintf(text, sizeof text, "%s %lld hooks=%d helo=%s from=%s rcpts=%d "
		"fact=%s", c->mark, (long long)c->opened, s->hooks, s->helo,
		m->sender, m->rcpts, mr_fact(call, MR_FACT_PEER_ADDRESS));
	mr_header_add(call, "X-Told", text);
	if (strstr(order, "edit"))
		edit(call);
	if (strstr(order, "sum"))
		sum_body(call);
	if (strstr(order, "undo")) {
		call->host->edits_undo(call);
		mr_header_add(call, "X-After", "undo");
	}
	if (strstr(order, "replace")) {
		for (i = 0; i < 40; i++) {
			char line[2000];

			memset(line, 'a' + (int)i % 26, sizeof line);
			call->host->body_replace(call, line, sizeof line);
			call->host->body_replace(call, "\n", 1);
		}
		sum_body(call);
	}
	if (strstr(order, "log"))
		mr_log(call, MR_LOG_WARN, "I was asked to");
	return obey(call, order);
}

static void
on_reset(struct mr_call *call)
{
	struct session *s = call->session;

	s->hooks++;
}

static void
on_disconnect(struct mr_call *call)
{
	(void)call;
}

static const struct mr_filter filter = {
	.size = sizeof filter, .needs = MR_NEEDS_HEADERS | MR_NEEDS_BODY,
	.may = MR_MAY_HEADERS | MR_MAY_BODY | MR_MAY_SENDER | MR_MAY_RCPTS,
	.connect = on_connect, .helo = on_helo, .mail = on_mail,
	.rcpt = on_rcpt, .message = on_message, .reset = on_reset,
	.disconnect = on_disconnect,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "rogue", .version = "1.0",
	.summary = "does all it must not (tests only)",
	.settings = settings, .config_size = sizeof(struct config),
	.session_size = sizeof(struct session),
	.message_size = sizeof(struct message), .open = open_rogue,
	.filter = &filter,
};
