/*
 * pickup.c - the thread behind the drop folder.
 */
#include "serve/pickup.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "mail/header.h"
#include "queue/client.h"
#include "queue/drop.h"
#include "queue/report.h"
#include "serve/session.h"

#define LOOK_MS 60000
#define ANSWER_MS (30 * 60000)		/* filters may take their time */
#define HEADER_MOST (256 << 10)		/* of a message, in a report */
#define STACK (256 << 10)

struct pickup {
	struct house *house;
	struct listener listener;	/* of its sessions */
	const char *folder;
	int changes, stop;		/* inotify, eventfd */
	atomic_bool stopping;
	pthread_t thread;
};

struct parcel {			/* one file that is being handed over */
	struct pickup *p;
	const char *name;
	struct arena arena;
	struct drop drop;
	struct client_result result;
};

/* ---------------------------------------------------------------- talking */

static int64_t
read_body(void *arg, uint64_t offset, void *out, size_t len)
{
	const struct drop *d = arg;
	uint64_t left = d->length - offset;
	struct err e;

	if (len > left)
		len = (size_t)left;
	if (len && file_pread_all(d->fd, out, len, d->body_at + offset, &e) < 0)
		return -1;
	return (int64_t)len;
}

static struct client_talk
terms(struct parcel *c, const struct host *self, const char *name)
{
	const struct drop *d = &c->drop;
	struct str *each = NULL, notify;
	size_t i;

	if (d->notify.len) {
		notify = str_from(arena_printf(&c->arena, "NOTIFY=%.*s",
			STR_ARGS(d->notify)));
		each = arena_alloc(&c->arena, d->n_rcpt * sizeof *each);
		for (i = 0; i < d->n_rcpt; i++)
			each[i] = notify;
	}
	return (struct client_talk){.host = self, .hostname = name,
		.tls = CLIENT_TLS_NONE, .login = "", .password = "",
		.timeout = {.greeting = ANSWER_MS, .helo = ANSWER_MS,
			.mail = ANSWER_MS, .rcpt = ANSWER_MS,
			.data = ANSWER_MS, .block = ANSWER_MS,
			.dot = ANSWER_MS},
		.deadline = clock_mono() + ANSWER_MS, .sender = d->sender, .args = d->args,
		.created_ms = clock_wall(), .rcpt_args = each,
		.rcpt = d->rcpt, .n_rcpt = d->n_rcpt, .length = d->length,
		.read = read_body, .arg = &c->drop};
}

/* false: there is no session to be had now. */
static bool
hand_over(struct parcel *c)
{
	struct host self = {.name = "this server", .canonical = ""};
	struct client *client;
	struct client_talk t;
	char name[40];
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		pair) < 0)
		return false;
	if (!session_adopt(&c->p->listener, pair[0])) {
		close(pair[1]);
		return false;
	}
	snprintf(name, sizeof name, "uid-%lu.localhost",
		(unsigned long)c->drop.uid);
	t = terms(c, &self, name);
	client = client_adopt(pair[1], &t, &c->arena, &c->result);
	if (!client)
		return true;
	client_send(client, &t, &c->arena, &c->result);
	client_close(client, CLIENT_QUIT_MS);
	return true;
}

/* ---------------------------------------------------------------- telling */

static struct str
read_header(struct parcel *c)
{
	size_t most = c->drop.length < HEADER_MOST ? (size_t)c->drop.length :
		HEADER_MOST;
	char *block = arena_alloc(&c->arena, most + 1);
	struct header_field f = {.raw = str_of(block, 0)};
	struct str in = str_of(block, most);

	if (read_body(&c->drop, 0, block, most) < 0)
		return STR("");
	while (header_next(&in, &f))
		;
	return str_of(block, (size_t)(f.raw.at - block) + f.raw.len);
}

static void
add_refused(struct parcel *c, struct report_rcpt *out, size_t i,
	const struct reply *r)
{
	struct buf line;

	buf_init(&line, 2400);
	reply_line(&line, r);
	*out = (struct report_rcpt){.address = c->drop.rcpt[i],
		.reply = arena_str(&c->arena, buf_str(&line)),
		.remote = STR(""), .action = REPORT_FAILED};
	buf_free(&line);
	log_info("pickup.refused", LOG_S("file", c->name),
		LOG_STR("rcpt", c->drop.rcpt[i]), LOG_STR("reply", out->reply));
}

/* A message of its own to who sent it. */
static int
write_report(struct parcel *c, const struct report_rcpt *list, size_t n,
	struct err *e)
{
	struct report r = {.hostname = c->p->house->hostname, .trace = c->name,
		.sender = c->drop.sender, .arrived_ms = clock_wall(),
		.rcpt = list, .n_rcpt = n, .header = read_header(c)};
	struct drop d = {.rcpt = &r.sender, .n_rcpt = 1,
		.args = str_from(report_args(&r))};
	struct buf text, behind;
	int code;

	buf_init(&text, BUF_NO_CAP);
	buf_init(&behind, BUF_NO_CAP);
	report_write(&r, &text, &behind);
	buf_addstr(&text, buf_str(&behind));
	code = drop_write(c->p->folder, &d, buf_str(&text), NULL, e);
	buf_free(&text);
	buf_free(&behind);
	return code;
}

/* ----------------------------------------------------------------- settle */

/* Out of the way, where an admin finds it. */
static void
set_aside(const struct pickup *p, const char *name, const char *why)
{
	char from[4096], to[4096];

	snprintf(from, sizeof from, "%s/%s", p->folder, name);
	snprintf(to, sizeof to, "%s/.bad-%s", p->folder, name);
	log_error("pickup.aside", LOG_S("file", to), LOG_S("reason", why));
	if (rename(from, to) < 0)
		log_error("pickup.aside", LOG_S("file", from),
			LOG_S("error", strerror(errno)));
}

static void
drop_file(const struct pickup *p, const char *name)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", p->folder, name);
	if (unlink(path) < 0)
		log_error("pickup.unlink", LOG_S("file", path),
			LOG_S("error", strerror(errno)));
}

/* Its name tells when it was left. */
static bool
is_expired(const struct parcel *c)
{
	int64_t left = strtoll(c->name, NULL, 16);

	return left > 0 && clock_wall() - left > c->p->house->queue_lifetime;
}

static void
settle(struct parcel *c)
{
	struct drop *d = &c->drop;
	struct report_rcpt *refused = arena_alloc(&c->arena,
		d->n_rcpt * sizeof *refused);
	size_t n_refused = 0, kept = 0, n = d->n_rcpt, i;
	bool expired = is_expired(c);
	struct err e = {0};

	for (i = 0; i < n; i++) {
		const struct reply *r = c->result.whole.code ?
			&c->result.whole : &c->result.rcpt[i];

		if (r->code / 100 == 5 || (r->code / 100 != 2 && expired))
			add_refused(c, &refused[n_refused++], i, r);
		else if (r->code / 100 != 2)
			d->rcpt[kept++] = d->rcpt[i];
	}
	d->n_rcpt = kept;
	if (n_refused && d->sender.len &&
		write_report(c, refused, n_refused, &e) < 0)
		log_error("pickup.report", LOG_S("file", c->name),
			LOG_S("error", e.text));	/* all is tried again */
	else if (n_refused && !d->sender.len && !kept)
		set_aside(c->p, c->name, "refused, and nobody to tell");
	else if (!kept)
		drop_file(c->p, c->name);
	else if (kept < n && drop_replace(c->p->folder, c->name, d, &e) < 0)
		log_error("pickup.keep", LOG_S("file", c->name),
			LOG_S("error", e.text));
	if (kept)
		log_warn("pickup.waits", LOG_S("file", c->name),
			LOG_N("recipients", kept), LOG_STR("reply",
			c->result.whole.text));
}

/* ------------------------------------------------------------------- loop */

static void
take(struct pickup *p, const char *name)
{
	struct parcel c = {.p = p, .name = name};
	struct err e = {0};
	int got;

	arena_init(&c.arena);
	got = drop_open(p->folder, name, &c.arena, &c.drop, &e);
	if (got < 0)
		set_aside(p, name, e.text);
	else if (got > 0 && hand_over(&c))
		settle(&c);
	if (got > 0)
		close(c.drop.fd);
	arena_free(&c.arena);
}

static int
is_visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

/* In the order in which they came. */
static void
look(struct pickup *p)
{
	struct dirent **list;
	int n = scandir(p->folder, &list, is_visible, alphasort), i;

	if (n < 0) {
		log_error("pickup.look", LOG_S("folder", p->folder),
			LOG_S("error", strerror(errno)));
		return;
	}
	for (i = 0; i < n; i++) {
		if (!p->stopping)
			take(p, list[i]->d_name);
		free(list[i]);
	}
	free(list);
}

static void *
run(void *arg)
{
	struct pickup *p = arg;
	struct pollfd fds[2] = {{p->changes, POLLIN, 0}, {p->stop, POLLIN, 0}};
	char events[4096];

	while (!p->stopping) {
		look(p);
		poll(fds, 2, LOOK_MS);
		while (read(p->changes, events, sizeof events) > 0)
			;
	}
	return NULL;
}

struct pickup *
pickup_start(struct house *h, const char *folder, struct err *e)
{
	struct pickup *p = mem_alloc(sizeof *p);
	pthread_attr_t attr;

	*p = (struct pickup){.house = h, .folder = folder, .listener = {
		.name = "local", .protocol = SERVE_SUBMISSION,
		.tls = SERVE_TLS_NONE, .house = h, .is_local = true}};
	p->stop = eventfd(0, EFD_CLOEXEC);
	p->changes = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (p->changes < 0) {
		err_sys(e, "drop folder %s cannot be watched (see sysctl "
			"fs.inotify.max_user_instances)", folder);
		goto failed;
	}
	if (p->stop < 0 || inotify_add_watch(p->changes,
		folder, IN_MOVED_TO | IN_ONLYDIR) < 0) {
		err_sys(e, "drop folder %s", folder);
		goto failed;
	}
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	errno = pthread_create(&p->thread, &attr, run, p);
	pthread_attr_destroy(&attr);
	if (!errno)
		return p;
	err_sys(e, "drop folder: a thread");
failed:
	close(p->stop);
	close(p->changes);
	free(p);
	return NULL;
}

void
pickup_stop(struct pickup *p)
{
	uint64_t one = 1;

	p->stopping = true;
	if (write(p->stop, &one, sizeof one) < 0)
		log_error("pickup.stop", LOG_S("error", strerror(errno)));
}

void
pickup_free(struct pickup *p)
{
	if (!p)
		return;
	pthread_join(p->thread, NULL);
	close(p->stop);
	close(p->changes);
	free(p);
}
