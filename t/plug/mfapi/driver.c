/*
 * driver.c - plays a transcript to a chain of one filter, as the SMTP
 * session would, and prints what came of it.
 *
 * usage: driver CONFIG <TRANSCRIPT
 *
 * CONFIG has one [plugin.f] or [milter.f]. Lines of a transcript:
 *	connect ADDRESS PORT NAME	("-": no name)
 *	helo NAME | unknown LINE
 *	mail ADDRESS [ARGS] | rcpt ADDRESS [ARGS] | refused ADDRESS
 *	data | reset | quit
 *	message		what follows up to a line "." is the message
 * Each is answered by its verdict; a message also by its final bytes and
 * envelope.
 */
#include <arpa/inet.h>
#include <sys/time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "plug/hooks.h"
#include "plug/milter.h"

struct drive {
	struct plugins plugins;
	struct chain chain;
	struct arena session, message;
	struct facts facts;
	struct envelope envelope;
	struct hooks *hooks;
	unsigned count;
};

static void
show(const char *what, const struct verdict *v)
{
	static const char *const names[] = {"pass", "done", "tempfail",
		"reject", "discard", "quarantine", "hangup"};
	struct buf line;

	buf_init(&line, BUF_NO_CAP);
	if (v->reply.code)
		reply_write(&line, &v->reply);
	printf("%s: %s%s%s%.*s\n", what, names[v->kind], line.len ? " " : "",
		line.len ? buf_c(&line) : "", STR_ARGS(v->reason));
	buf_free(&line);
}

static void
begin_session(struct drive *d, struct str args)
{
	struct facts *f = &d->facts;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&f->peer.sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&f->peer.sa;
	const char *address = arena_cstr(&d->session, str_word(&args));
	uint64_t port = 0;
	struct str name;

	str_u64(str_word(&args), 65535, &port);
	name = str_word(&args);
	*f = (struct facts){.hostname = "mx.example.org",
		.authserv_id = "mx.example.org", .software = "Mailroom 0",
		.listener = "mx", .purpose = "mx", .chain = "inbound",
		.protocol = "ESMTP", .session = "session",
		.auth_mechanism = "", .rcpt_mailer = "local",
		.session_arena = &d->session, .message_arena = &d->message};
	f->peer_name = str_is(name, "-") ? STR("") :
		arena_str(&d->session, name);
	f->helo = f->auth_login = f->rcpt_refused = STR("");
	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		f->peer.len = sizeof *v4;
	} else {
		inet_pton(AF_INET6, address, &v6->sin6_addr);
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		f->peer.len = sizeof *v6;
	}
	f->local = f->peer;
	d->hooks = hooks_new(&d->chain, f);
}

static void
end_message(struct drive *d)
{
	hooks_reset(d->hooks);
	d->facts.envelope = NULL;
	d->facts.queue_id[0] = '\0';
	arena_reset(&d->message);
}

static struct verdict
begin_message(struct drive *d, struct str args)
{
	envelope_init(&d->envelope, &d->message);
	d->envelope.sender = arena_str(&d->message, str_word(&args));
	if (str_is(d->envelope.sender, "-"))
		d->envelope.sender = arena_str(&d->message, STR(""));
	d->envelope.sender_args = arena_str(&d->message, str_trim(args));
	d->facts.envelope = &d->envelope;
	snprintf(d->facts.queue_id, sizeof d->facts.queue_id, "q%u",
		++d->count);
	return hooks_mail(d->hooks);
}

static struct verdict
add_rcpt(struct drive *d, struct str args, bool refused)
{
	struct reply r = REPLY(550, "5.1.1", "No such user");
	struct str address = str_word(&args);
	size_t i = envelope_add(&d->envelope, address, str_trim(args));
	struct verdict v;

	d->facts.rcpt_mailer = refused ? "error" : "local";
	v = hooks_rcpt(d->hooks, i, refused ? &r : NULL);
	if (refused || v.kind == MR_TEMPFAIL || v.kind == MR_REJECT)
		d->envelope.n_rcpt--;
	return v;
}

static void
print_range(const struct mr_piece *p)
{
	uint64_t at = 0;
	char block[4096];
	ssize_t n;

	while (at < p->length) {
		size_t want = p->length - at < sizeof block ?
			(size_t)(p->length - at) : sizeof block;

		n = pread(p->fd, block, want, (off_t)(p->offset + at));
		if (n <= 0)
			exit(1);
		fwrite(block, 1, (size_t)n, stdout);
		at += (uint64_t)n;
	}
}

static void
print_message(struct drive *d, struct message *m)
{
	struct err e = {0};
	struct mr_piece *piece;
	uint64_t length;
	size_t n, i;

	if (message_pieces(m, &piece, &n, &length, &e) < 0)
		exit(1);
	printf("from <%.*s> %.*s\n", STR_ARGS(d->envelope.sender),
		STR_ARGS(d->envelope.sender_args));
	for (i = 0; i < d->envelope.n_rcpt; i++)
		if (!d->envelope.rcpt[i].removed)
			printf("to <%.*s> %.*s\n",
				STR_ARGS(d->envelope.rcpt[i].address),
				STR_ARGS(d->envelope.rcpt[i].args));
	for (i = 0; i < n; i++) {
		if (piece[i].mem)
			fwrite(piece[i].mem, 1, piece[i].length, stdout);
		else
			print_range(&piece[i]);
	}
	printf("\n-- %llu bytes\n", (unsigned long long)length);
}

static struct verdict
read_message(struct drive *d, struct str *in)
{
	struct message *m = message_new(&d->message, "/tmp", 1 << 20);
	struct err e = {0};
	struct verdict v;
	struct str line;

	while (in->len && !str_is(line = str_cut(in, '\n'), ".")) {
		message_write(m, line, &e);
		message_write(m, STR("\r\n"), &e);
	}
	message_seal(m, &e);
	message_own(m, "Received", STR("from the driver"));
	d->facts.message = m;
	v = hooks_message(d->hooks);
	show("message", &v);
	d->facts.message = NULL;
	if (!v.reply.code && v.kind != MR_DISCARD)
		print_message(d, m);
	message_free(m);
	return v;
}

static void
play(struct drive *d, struct str *in)
{
	struct str line = str_cut(in, '\n'), word = str_word(&line);
	const char *name = arena_cstr(&d->session, word);
	struct verdict v = {.kind = MR_PASS};

	if (str_is(word, "connect")) {
		begin_session(d, line);
		v = hooks_connect(d->hooks);
	} else if (str_is(word, "helo")) {
		d->facts.helo = arena_str(&d->session, line);
		v = hooks_helo(d->hooks);
	} else if (str_is(word, "unknown")) {
		v = hooks_unknown(d->hooks, line);
	} else if (str_is(word, "mail")) {
		v = begin_message(d, line);
	} else if (str_is(word, "rcpt") || str_is(word, "refused")) {
		v = add_rcpt(d, line, str_is(word, "refused"));
	} else if (str_is(word, "data")) {
		v = hooks_data(d->hooks);
	} else if (str_is(word, "message")) {
		read_message(d, in);
		return;
	} else if (str_is(word, "reset")) {
		end_message(d);
	} else if (str_is(word, "quit")) {
		/* libmilter drops what it has not yet read when the end of
		 * the connection comes. */
		usleep(30000);
		hooks_end(d->hooks);
		arena_reset(&d->session);
		puts("--");
		return;
	} else {
		return;
	}
	show(name, &v);
}

static bool
load(struct drive *d, const char *file)
{
	struct arena *a = &d->plugins.arena;
	struct conf_report report;
	const struct conf_node *n;
	struct err e = {0};
	struct str text;
	struct conf *c;
	bool milter;

	conf_report_init(&report);
	plugins_init(&d->plugins);
	if (file_read(file, 65536, a, &text, &e) < 0)
		return false;
	c = conf_parse(text, file, &report);
	n = conf_find(conf_root(c), "plugin.f");
	milter = !n;
	if (milter)
		n = conf_find(conf_root(c), "milter.f");
	if (!plugins_add(&d->plugins, "f", ".", milter ? &milter_plugin : NULL,
		c, n, &report))
		fputs(buf_c(&report.text), stdout);
	else if (plugins_open(&d->plugins, "smtp", "/tmp", "mx.example.org",
		&e) < 0)
		printf("open: %s\n", e.text);
	conf_free(c);
	conf_report_free(&report);
	return d->plugins.n && d->plugins.item[0]->opened;
}

int
main(int argc, char **argv)
{
	struct drive d = {.count = 0};
	struct buf in;
	size_t n;

	log_open(2, LOG_WARN, false, "driver");
	if (argc != 2 || !load(&d, argv[1]))
		return 1;
	d.chain = (struct chain){.name = "inbound", .item = d.plugins.item,
		.n = 1, .timeout_ms = 60000};
	buf_init(&in, BUF_NO_CAP);
	while ((n = fread(buf_reserve(&in, 65536), 1, 65536, stdin)) > 0)
		buf_grew(&in, n);
	for (struct str rest = buf_str(&in); rest.len;)
		play(&d, &rest);
	plugins_close(&d.plugins);
	arena_free(&d.message);
	arena_free(&d.session);
	buf_free(&in);
	return 0;
}
