/*
 * milter.c - the filter hooks of an outside milter: one connection for each
 * SMTP session, from its connect to its disconnect.
 *
 * Three rules keep the two sides in step (libmilter swallows what comes out
 * of order without an answer, and then both wait for ever):
 *  - each command owes exactly one answer, unless the filter said at
 *    negotiation that it gives none (NR) or does not want the step (NO);
 *  - after a final answer to a message nothing more of that message is sent,
 *    not even a macro;
 *  - the connection ends with Q, and is never used for a second session.
 *
 * A filter that fails (no connection, time-out, nonsense) is out for the rest
 * of the session, and on_failure decides about each of its messages, from
 * MAIL on, so that the sender is told why. Edits that came before a failure
 * are taken back.
 *
 * Runs on the session's threads, one at a time; talks to the core through
 * mailroom/plugin.h only.
 */
#include "plug/milter.h"

#include "base/clock.h"
#include "net/sock.h"
#include "plug/milter_edit.h"
#include "plug/milter_form.h"
#include "plug/milter_macro.h"
#include "plug/milter_wire.h"

#define PROGRESS_MOST 10	/* times the time-out, in all */

struct milter_config {
	const char *socket;
	int64_t connect_timeout, command_timeout, data_timeout;
	int64_t on_failure;
};

struct milter_session {
	struct stream stream;
	struct buf in, out;	/* frame data */
	struct milter_options options;
	bool open;		/* negotiated and well */
	bool failed;
	bool finished;		/* accepted the session: not asked again */
	bool in_message;	/* an A is due if it ends early */
};

static const struct str none = {"", 0};

static struct milter_config *
config_of(struct mr_call *c)
{
	return c->config;
}

static struct milter_session *
session_of(struct mr_call *c)
{
	return c->session;
}

/* ------------------------------------------------------------- failures */

static void
hang_up(struct milter_session *s)
{
	if (!s->open)
		return;
	stream_close(&s->stream);
	buf_free(&s->in);
	buf_free(&s->out);
	s->open = false;
}

static void
fail(struct mr_call *c, const char *step, const struct err *e)
{
	struct milter_session *s = session_of(c);

	mr_log(c, MR_LOG_WARN, "milter %s failed at %s: %s",
		config_of(c)->socket, step, e->text);
	hang_up(s);
	s->failed = true;
	s->in_message = false;
}

/* -------------------------------------------------------------- answers */

/* Progress restarts the clock, up to a ceiling, so that a filter cannot hold
 * a client for ever. */
static int
hear(struct mr_call *c, int64_t timeout, struct err *e)
{
	struct milter_session *s = session_of(c);
	int64_t end = clock_mono() + PROGRESS_MOST * timeout;
	int command;

	do {
		stream_limit(&s->stream, timeout, 0);
		command = milter_receive(&s->stream, &s->in, e);
		if (command == 'p' && clock_mono() > end)
			return err_set(e, ERR_TIMEOUT,
				"only progress, no answer");
	} while (command == 'p');
	return command;
}

/* What an answer other than an edit means. */
static enum mr_verdict
verdict_of(struct mr_call *c, int command, const char *step, struct err *e)
{
	switch (command) {
	case 'c':
	case 's':
		return MR_PASS;
	case 'a':
		return MR_DONE;
	case 'r':
		return MR_REJECT;
	case 't':
		return MR_TEMPFAIL;
	case 'd':
		return MR_DISCARD;
	case 'y':
		return milter_reply(c, buf_str(&session_of(c)->in));
	default:
		if (command >= 0)
			err_set(e, ERR_PROTOCOL, "unexpected answer 0x%02x",
				(unsigned)command);
		fail(c, step, e);
		return milter_without(c, config_of(c)->on_failure);
	}
}

/* --------------------------------------------------------------- asking */

struct step {
	const char *name;
	char command;
	enum milter_stage stage;
	uint32_t no, nr;	/* MILTER_NO_*, MILTER_NR_* */
};

static const struct step at_connect = {"connect", 'C', MILTER_AT_CONNECT,
	MILTER_NO_CONNECT, MILTER_NR_CONNECT};
static const struct step at_helo = {"helo", 'H', MILTER_AT_HELO,
	MILTER_NO_HELO, MILTER_NR_HELO};
static const struct step at_mail = {"mail", 'M', MILTER_AT_MAIL,
	MILTER_NO_MAIL, MILTER_NR_MAIL};
static const struct step at_rcpt = {"rcpt", 'R', MILTER_AT_RCPT,
	MILTER_NO_RCPT, MILTER_NR_RCPT};
static const struct step at_data = {"data", 'T', MILTER_AT_DATA,
	MILTER_NO_DATA, MILTER_NR_DATA};
static const struct step at_header = {"header", 'L', MILTER_AT_END,
	MILTER_NO_HEADERS, MILTER_NR_HEADER};
static const struct step at_eoh = {"end of headers", 'N', MILTER_AT_EOH,
	MILTER_NO_EOH, MILTER_NR_EOH};
static const struct step at_body = {"body", 'B', MILTER_AT_END,
	MILTER_NO_BODY, MILTER_NR_BODY};
static const struct step at_unknown = {"unknown", 'U', MILTER_AT_HELO,
	MILTER_NO_UNKNOWN, MILTER_NR_UNKNOWN};

static void
send_macros(struct mr_call *c, const struct step *step, const char *rcpt)
{
	struct milter_session *s = session_of(c);
	struct buf data;

	buf_init(&data, MILTER_DATA_MOST - 1);
	milter_macros(c, step->stage, s->options.symbols[step->stage], rcpt,
		&data);
	if (data.len && !data.full)
		milter_send(&s->stream, 'D', str_of(&step->command, 1),
			buf_str(&data), none);
	buf_free(&data);
}

/* Sends the step with what stands in s->out as its data and hears the
 * answer, as far as the filter wants the one and gives the other. *skip (may
 * be NULL): it wants no more of this step. */
static enum mr_verdict
ask(struct mr_call *c, const struct step *step, bool *skip)
{
	struct milter_session *s = session_of(c);
	struct err e = {0};
	int command;

	if (s->options.steps & step->no)
		return MR_PASS;
	milter_send(&s->stream, step->command, buf_str(&s->out), none, none);
	if (s->options.steps & step->nr) {
		if (!stream_failed(&s->stream))
			return MR_PASS;
		command = milter_receive(&s->stream, &s->in, &e);
	} else {
		command = hear(c, config_of(c)->command_timeout, &e);
	}
	if (skip)
		*skip = command == 's';
	return verdict_of(c, command, step->name, &e);
}

static void
add_string(struct buf *out, const char *text)
{
	buf_adds(out, text);
	buf_addc(out, '\0');
}

/* ----------------------------------------------------------- connecting */

static int
negotiate(struct mr_call *c, struct err *e)
{
	struct milter_session *s = session_of(c);
	static const unsigned char offer[12] = {
		0, 0, 0, MILTER_VERSION,
		0, 0, MILTER_ACTIONS >> 8, MILTER_ACTIONS & 0xff,
		0, MILTER_STEPS >> 16 & 0xff, MILTER_STEPS >> 8 & 0xff,
		MILTER_STEPS & 0xff,
	};
	size_t i;
	int command;

	milter_send(&s->stream, 'O', str_of(offer, sizeof offer), none, none);
	command = hear(c, config_of(c)->command_timeout, e);
	if (command < 0)
		return -1;
	if (command != 'O')
		return err_set(e, ERR_PROTOCOL,
			"does not answer as a milter (0x%02x)",
			(unsigned)command);
	if (milter_parse_options(buf_str(&s->in), &s->options, e) < 0)
		return -1;
	for (i = 0; i < MILTER_STAGES; i++) {	/* s->in is used again */
		struct str *names = &s->options.symbols[i];
		char *kept;

		if (!names->at)
			continue;
		kept = c->host->session_alloc(c, names->len + 1);
		memcpy(kept, names->at, names->len);
		names->at = kept;
	}
	return 0;
}

/* "unix:/path", "inet:port@host" and "inet:host:port" as admins of other
 * servers write them, or our own forms. */
static int
parse_socket(const char *text, struct sock_addr *out, struct err *e)
{
	struct str s = str_from(text), port;
	char own[300];

	if (str_istarts(s, "local:"))
		snprintf(own, sizeof own, "unix:%s", text + 6);
	else if (str_istarts(s, "inet:") || str_istarts(s, "inet6:")) {
		str_cut(&s, ':');
		if (str_has_byte(s, '@')) {
			bool v6;

			port = str_cut(&s, '@');
			v6 = str_has_byte(s, ':') && s.at[0] != '[';
			snprintf(own, sizeof own, v6 ? "[%.*s]:%.*s" :
				"%.*s:%.*s", STR_ARGS(s), STR_ARGS(port));
		} else {
			snprintf(own, sizeof own, "%.*s", STR_ARGS(s));
		}
	} else {
		snprintf(own, sizeof own, "%s", text);
	}
	return sock_parse(str_from(own), out, e);
}

static int
open_filter(struct mr_call *c, struct err *e)
{
	struct milter_config *config = config_of(c);
	struct milter_session *s = session_of(c);
	struct sock_addr to;
	int fd;

	if (parse_socket(config->socket, &to, e) < 0)
		return -1;
	fd = sock_connect(&to, NULL, clock_mono() + config->connect_timeout,
		e);
	if (fd < 0)
		return -1;
	stream_init(&s->stream, fd);
	buf_init(&s->in, MILTER_REPLY_MOST);
	buf_init(&s->out, MILTER_DATA_MOST);
	s->open = true;
	return negotiate(c, e);
}

static void
write_peer(struct mr_call *c, struct buf *out)
{
	struct milter_peer p;

	milter_peer(c, &p);
	milter_add_host(out, &p);
	buf_addc(out, strchr(p.address, ':') ? '6' : '4');
	buf_addc(out, (char)(p.port >> 8));
	buf_addc(out, (char)p.port);
	add_string(out, p.address);
}

/* ---------------------------------------------------------------- hooks */

/* Out of the talk: failed at an earlier step, or content with the session. */
static bool
is_out(struct mr_call *c)
{
	return !session_of(c)->open || session_of(c)->finished;
}

static enum mr_verdict
on_connect(struct mr_call *c)
{
	struct milter_session *s = session_of(c);
	enum mr_verdict v;
	struct err e = {0};

	if (open_filter(c, &e) < 0) {
		fail(c, "connect", &e);
		return MR_PASS;		/* told at MAIL */
	}
	send_macros(c, &at_connect, NULL);
	buf_reset(&s->out);
	write_peer(c, &s->out);
	v = ask(c, &at_connect, NULL);
	if (s->failed)
		return MR_PASS;
	s->finished = v == MR_DONE;
	return v;
}

static enum mr_verdict
on_helo(struct mr_call *c, const char *name)
{
	struct milter_session *s = session_of(c);
	enum mr_verdict v;

	if (is_out(c))
		return MR_PASS;
	send_macros(c, &at_helo, NULL);
	buf_reset(&s->out);
	add_string(&s->out, name);
	v = ask(c, &at_helo, NULL);
	if (s->failed)
		return MR_PASS;
	s->finished = v == MR_DONE;
	return v;
}

static enum mr_verdict
on_mail(struct mr_call *c, const char *sender)
{
	struct milter_session *s = session_of(c);
	enum mr_verdict v;

	if (s->failed)
		return milter_without(c, config_of(c)->on_failure);
	if (is_out(c))
		return MR_DONE;
	send_macros(c, &at_mail, NULL);
	buf_reset(&s->out);
	milter_add_path(&s->out, sender, mr_fact(c, MR_FACT_SENDER_ARGS));
	s->in_message = true;
	v = ask(c, &at_mail, NULL);
	if (v != MR_PASS)
		s->in_message = false;
	return v;
}

static enum mr_verdict
on_rcpt(struct mr_call *c, const char *rcpt, const char *args)
{
	struct milter_session *s = session_of(c);
	bool refused = *mr_fact(c, MR_FACT_RCPT_REFUSED) != '\0';
	enum mr_verdict v;

	if (s->failed)
		return milter_without(c, config_of(c)->on_failure);
	if (is_out(c) || (refused &&
		!(s->options.steps & MILTER_WANT_REFUSED)))
		return MR_PASS;
	send_macros(c, &at_rcpt, rcpt);
	buf_reset(&s->out);
	milter_add_path(&s->out, rcpt, args);
	v = ask(c, &at_rcpt, NULL);
	/* A refusal here concerns the recipient; the message goes on. After
	 * "discard" libmilter too stands inside it and waits for an A. */
	if (v == MR_DONE)
		s->in_message = false;
	return v;
}

static enum mr_verdict
on_data(struct mr_call *c)
{
	struct milter_session *s = session_of(c);
	enum mr_verdict v;

	if (s->failed)
		return milter_without(c, config_of(c)->on_failure);
	if (is_out(c))
		return MR_PASS;
	if (s->options.steps & at_data.no)
		return MR_PASS;
	send_macros(c, &at_data, NULL);
	buf_reset(&s->out);
	v = ask(c, &at_data, NULL);
	if (v != MR_PASS)
		s->in_message = false;
	return v;
}

static enum mr_verdict
send_headers(struct mr_call *c)
{
	struct milter_session *s = session_of(c);
	bool keep = s->options.steps & MILTER_LEADING_SPACE, skip = false;
	enum mr_verdict v = MR_PASS;
	struct mr_header h;
	size_t i;

	if (s->options.steps & at_header.no)
		return MR_PASS;
	for (i = 0; v == MR_PASS && !skip && c->host->header(c, i, &h) == 0;
		i++) {
		buf_reset(&s->out);
		if (!milter_add_field(&s->out, &h, keep))
			mr_log(c, MR_LOG_WARN, "header field cut for milter");
		v = ask(c, &at_header, &skip);
	}
	return v;
}

static enum mr_verdict
send_body(struct mr_call *c)
{
	struct milter_session *s = session_of(c);
	enum mr_verdict v = MR_PASS;
	uint64_t at = 0;
	bool skip = false;
	int64_t n = 0;
	char *room;

	if (s->options.steps & at_body.no)
		return MR_PASS;
	while (v == MR_PASS && !skip) {
		buf_reset(&s->out);
		room = buf_reserve(&s->out, MILTER_DATA_MOST);
		n = room ? c->host->body_read(c, at, room, MILTER_DATA_MOST) :
			-1;
		if (n <= 0)
			break;
		buf_grew(&s->out, (size_t)n);
		at += (uint64_t)n;
		v = ask(c, &at_body, &skip);
	}
	if (n < 0) {
		mr_log(c, MR_LOG_ERROR, "message cannot be read from its spool");
		return MR_TEMPFAIL;
	}
	return v;
}

/* The end of the message: edits, then one final answer. */
static enum mr_verdict
end_message(struct mr_call *c)
{
	struct milter_session *s = session_of(c);
	static const struct step at_end = {"end of message", 'E',
		MILTER_AT_END, 0, 0};
	struct err e = {0};
	bool quarantined = false;
	enum mr_verdict v;
	int command;

	c->host->header_exact(c, !!(s->options.steps & MILTER_LEADING_SPACE));
	send_macros(c, &at_end, NULL);
	milter_send(&s->stream, at_end.command, none, none, none);
	for (;;) {
		command = hear(c, config_of(c)->data_timeout, &e);
		if (command == 'q') {
			quarantined = true;
			buf_addc(&s->in, '\0');
			mr_say(c, 0, NULL, buf_c(&s->in));
		} else if (!milter_is_edit(command)) {
			break;
		} else if (milter_edit(c, command, buf_str(&s->in), &e) < 0) {
			command = -1;
			break;
		}
	}
	s->in_message = false;
	v = verdict_of(c, command, at_end.name, &e);
	if (s->failed)
		c->host->edits_undo(c);
	return quarantined && (v == MR_PASS || v == MR_DONE) ?
		MR_QUARANTINE : v;
}

static enum mr_verdict
on_message(struct mr_call *c)
{
	struct milter_session *s = session_of(c);
	enum mr_verdict v;

	if (s->failed)
		return milter_without(c, config_of(c)->on_failure);
	if (is_out(c))
		return MR_PASS;
	v = send_headers(c);
	if (v == MR_PASS && !(s->options.steps & at_eoh.no)) {
		send_macros(c, &at_eoh, NULL);
		buf_reset(&s->out);
		v = ask(c, &at_eoh, NULL);
	}
	if (v == MR_PASS)
		v = send_body(c);
	if (v == MR_PASS)
		return end_message(c);
	s->in_message = false;
	return v;
}

static enum mr_verdict
on_unknown(struct mr_call *c, const char *line)
{
	struct milter_session *s = session_of(c);

	/* Inside a message a filter without DATA may not answer. */
	if (is_out(c) || s->in_message)
		return MR_PASS;
	buf_reset(&s->out);
	add_string(&s->out, line);
	return ask(c, &at_unknown, NULL);
}

static void
on_reset(struct mr_call *c)
{
	struct milter_session *s = session_of(c);

	/* Flushed, so that the filter need not keep the message until the
	 * next one; libmilter drops what comes together with the end. */
	if (s->open && s->in_message) {
		milter_send(&s->stream, 'A', none, none, none);
		stream_flush(&s->stream);
	}
	s->in_message = false;
}

static void
on_disconnect(struct mr_call *c)
{
	struct milter_session *s = session_of(c);

	if (!s->open)
		return;
	stream_limit(&s->stream, 1000, 0);
	on_reset(c);
	milter_send(&s->stream, 'Q', none, none, none);
	stream_flush(&s->stream);
	hang_up(s);
}

static int
open_plugin(void *config, struct mr_open *o)
{
	struct milter_config *m = config;
	struct sock_addr a;
	struct err e = {0};

	if (parse_socket(m->socket, &a, &e) == 0)
		return 0;
	snprintf(o->error, o->error_size, "socket: %s", e.text);
	return -1;
}

#define AT(field) offsetof(struct milter_config, field)

static const struct mr_setting settings[] = {
	{"socket", MR_TEXT, MR_REQUIRED, AT(socket), NULL, 0, 0, NULL,
		"Where the filter listens: \"unix:/path\", \"inet:port@host\" "
		"or \"host:port\"."},
	{"connect_timeout", MR_DURATION, 0, AT(connect_timeout), "\"30s\"",
		10, 3600000, NULL, "Longest wait for a connection."},
	{"timeout", MR_DURATION, 0, AT(command_timeout), "\"30s\"", 10,
		3600000, NULL, "Longest wait for the answer to one step."},
	{"data_timeout", MR_DURATION, 0, AT(data_timeout), "\"5m\"", 10,
		3600000, NULL, "Longest wait for the answer to the whole "
		"message."},
	{"on_failure", MR_CHOICE, 0, AT(on_failure), "\"tempfail\"", 0, 0,
		MILTER_ON_FAILURE, "What becomes of mail while the "
		"filter cannot be asked."},
	MR_SETTINGS_END,
};

static const struct mr_filter filter = {
	.size = sizeof filter,
	.needs = MR_NEEDS_HEADERS | MR_NEEDS_BODY,
	.may = MR_MAY_HEADERS | MR_MAY_BODY | MR_MAY_SENDER | MR_MAY_RCPTS,
	.wants = MR_WANT_REFUSED,
	.connect = on_connect,
	.helo = on_helo,
	.mail = on_mail,
	.rcpt = on_rcpt,
	.data = on_data,
	.message = on_message,
	.unknown = on_unknown,
	.reset = on_reset,
	.disconnect = on_disconnect,
};

const struct mr_plugin milter_plugin = {
	MR_PLUGIN_HEAD,
	.name = "milter",
	.version = PACKAGE_VERSION,
	.summary = "attaches an outside milter",
	.settings = settings,
	.config_size = sizeof(struct milter_config),
	.session_size = sizeof(struct milter_session),
	.open = open_plugin,
	.filter = &filter,
};
