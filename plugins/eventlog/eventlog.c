/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * eventlog - writes what happens as JSON, an object a line, to a file or a
 * datagram socket.
 *
 * Every process has the file open for appending and writes a line at once, so
 * lines of several processes do not mix. A file that was renamed or removed
 * is made again before the next line. Nobody is told of a line that a full
 * disk or a missing reader swallowed but the next one, by its "lost".
 */
#include <mailroom/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LINE_MOST 16384

struct config {
	const char *file, *socket;
	int fd;
	dev_t device;
	ino_t inode;
	uint64_t lost;
};

static const struct mr_setting settings[] = {
	{"file", MR_PATH, 0, offsetof(struct config, file), "\"\"", 0, 0, NULL,
		"File that is appended to. The workers' user must be able to "
		"write there; outside the data folder [workers] writable must "
		"name its folder."},
	{"socket", MR_PATH, 0, offsetof(struct config, socket), "\"\"", 0, 0,
		NULL, "Or: a unix datagram socket that each line is sent to."},
	MR_SETTINGS_END,
};

/* ------------------------------------------------------------------- lines */

struct line {
	char at[LINE_MOST];
	size_t n;
};

static void
put(struct line *l, const char *s)
{
	size_t len = strlen(s);

	if (l->n + len < sizeof l->at) {
		memcpy(l->at + l->n, s, len);
		l->n += len;
	}
}

/* Length of the UTF-8 character at p, 0 if it is none (RFC 3629). */
static size_t
character(const unsigned char *p)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 :
		p[0] >= 0xe0 && p[0] < 0xf0 ? 3 :
		p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
	size_t i;

	for (i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
		(p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

static void
put_text(struct line *l, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	char one[8];
	size_t n;

	for (put(l, "\""); *p; p += n ? n : 1) {
		n = character(p);
		if (n == 0)
			snprintf(one, sizeof one, "\\ufffd");
		else if (*p < ' ' || *p == 127)
			snprintf(one, sizeof one, "\\u%04x", *p);
		else
			snprintf(one, sizeof one, "%s%.*s", *p == '"' ||
				*p == '\\' ? "\\" : "", (int)n,
				(const char *)p);
		put(l, one);
	}
	put(l, "\"");
}

static void
put_string(struct line *l, const char *key, const char *value)
{
	if (!value || !*value)
		return;
	put(l, ",\"");
	put(l, key);
	put(l, "\":");
	put_text(l, value);
}

static void
put_number(struct line *l, const char *key, uint64_t value)
{
	char text[80];

	if (!value)
		return;
	snprintf(text, sizeof text, ",\"%s\":%llu", key,
		(unsigned long long)value);
	put(l, text);
}

static const char *
kind_name(uint32_t kind)
{
	static const char *const names[] = {
		[MR_EVENT_SESSION_OPENED] = "session.opened",
		[MR_EVENT_SESSION_CLOSED] = "session.closed",
		[MR_EVENT_LOGIN_OK] = "login.ok",
		[MR_EVENT_LOGIN_DENIED] = "login.denied",
		[MR_EVENT_MESSAGE_ACCEPTED] = "message.accepted",
		[MR_EVENT_MESSAGE_HELD] = "message.held",
		[MR_EVENT_MESSAGE_REFUSED] = "message.refused",
		[MR_EVENT_DELIVERED] = "delivered",
		[MR_EVENT_DEFERRED] = "deferred",
		[MR_EVENT_BOUNCED] = "bounced",
	};

	return kind < sizeof names / sizeof *names && names[kind] ?
		names[kind] : "unknown";
}

static void
put_time(struct line *l, int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	char text[40], all[60];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(all, sizeof all, "{\"time\":\"%s.%03dZ\"", text,
		(int)(ms % 1000));
	put(l, all);
}

static void
write_line(struct line *l, const struct mr_event *e, uint64_t lost)
{
	l->n = 0;
	put_time(l, e->time_ms);
	put_string(l, "event", kind_name(e->kind));
	put_string(l, "process", e->role);
	put_string(l, "protocol", e->protocol);
	put_string(l, "listener", e->listener);
	put_string(l, "session", e->session);
	put_string(l, "message", e->message);
	put_string(l, "peer", e->peer);
	put_string(l, "account", e->account);
	put_string(l, "sender", e->sender);
	put_string(l, "rcpt", e->rcpt);
	put_string(l, "host", e->host);
	put_string(l, "text", e->text);
	put_number(l, "length", e->length);
	put_number(l, "rcpts", e->n_rcpt);
	put_number(l, "lost", e->dropped + lost);
	put(l, "}\n");
}

/* ----------------------------------------------------------------- writing */

static int
open_file(struct config *c)
{
	struct stat st;

	c->fd = open(c->file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	if (c->fd < 0 || fstat(c->fd, &st) < 0)
		return -1;
	c->device = st.st_dev;
	c->inode = st.st_ino;
	return 0;
}

static bool
was_moved(const struct config *c)
{
	struct stat st;

	return stat(c->file, &st) < 0 || st.st_dev != c->device ||
		st.st_ino != c->inode;
}

static bool
append(struct config *c, const struct line *l)
{
	if (c->fd >= 0 && was_moved(c)) {
		close(c->fd);
		c->fd = -1;
	}
	if (c->fd < 0 && open_file(c) < 0)
		return false;
	return write(c->fd, l->at, l->n) == (ssize_t)l->n;
}

/* Never waits for the reader: it may be away, or slow. */
static bool
send_line(struct config *c, const struct line *l)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	memcpy(to.sun_path, c->socket, strlen(c->socket) + 1);
	return sendto(c->fd, l->at, l->n - 1, MSG_DONTWAIT | MSG_NOSIGNAL,
		(struct sockaddr *)&to, sizeof to) >= 0;
}

static void
on_event(void *self, const struct mr_event *e)
{
	struct config *c = self;
	struct line l;
	bool done;

	write_line(&l, e, c->lost);
	done = *c->file ? append(c, &l) : send_line(c, &l);
	c->lost = done ? 0 : c->lost + e->dropped + 1;
}

static int
on_open(void *self, struct mr_open *open)
{
	struct config *c = self;

	c->fd = -1;
	if (!*c->file == !*c->socket)
		snprintf(open->error, open->error_size,
			"set either file or socket");
	else if (strlen(c->socket) >= sizeof((struct sockaddr_un *)0)->sun_path)
		snprintf(open->error, open->error_size,
			"the socket's path is too long");
	else if (*c->file && open_file(c) < 0)
		snprintf(open->error, open->error_size, "%.150s: %s", c->file,
			strerror(errno));
	else if (*c->socket && (c->fd = socket(AF_UNIX, SOCK_DGRAM |
		SOCK_CLOEXEC, 0)) < 0)
		snprintf(open->error, open->error_size, "%s", strerror(errno));
	else
		return 0;
	return -1;
}

static void
on_close(void *self)
{
	struct config *c = self;

	if (c->fd >= 0)
		close(c->fd);
}

static const struct mr_observer observer = {
	.size = sizeof observer, .event = on_event,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "eventlog", .version = "1.0",
	.summary = "writes what happens as JSON lines",
	.settings = settings, .config_size = sizeof(struct config),
	.open = on_open, .close = on_close, .observer = &observer,
};
