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

#include "plug/milter_edit.h"
#include "plug/milter_form.h"
#include "plug/milter_link.h"
#include "plug/milter_macro.h"

struct milter_session {
	struct milter_link link;
	bool failed;
	bool finished;		/* accepted the session: not asked again */
	bool in_message;	/* an A is due if it ends early */
	bool held;		/* the message is, for want of the filter */
	uint32_t odd;		/* edits that it never said it would make */
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

static struct milter_link *
link_of(struct mr_call *c)
{
	return &session_of(c)->link;
}

/* ------------------------------------------------------------- failures */

static void
fail(struct mr_call *c, const char *step, const struct err *e)
{
	struct milter_session *s = session_of(c);

	mr_log(c, MR_LOG_WARN, "milter %s failed at %s: %s",
		config_of(c)->socket, step, e->text);
	/* A failure to connect was counted there. */
	if (s->link.open && milter_gate_failed(config_of(c)))
		mr_log(c, MR_LOG_WARN, "milter %s failed too often: not asked "
			"for %lld ms", config_of(c)->socket,
			(long long)config_of(c)->breaker_pause);
	milter_link_close(&s->link, config_of(c));
	s->failed = true;
	s->in_message = false;
}

/* What becomes of a message that the filter cannot be asked about; that it
 * is held is said once. */
static enum mr_verdict
without(struct mr_call *c)
{
	struct milter_session *s = session_of(c);
	enum mr_verdict v;

	if (s->held)
		return MR_DONE;
	v = milter_without(c, config_of(c)->on_failure);
	s->held = v == MR_QUARANTINE;
	return v;
}

/* -------------------------------------------------------------- answers */

/* What an answer other than an edit means. */
static enum mr_verdict
verdict_of(struct mr_call *c, int command, const char *step, struct err *e)
{
	if (command == 'a' || command == 'r' || command == 't' ||
		command == 'd' || command == 'y')
		milter_gate_well(config_of(c));
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
		return milter_reply(c, buf_str(&link_of(c)->in));
	default:
		if (command >= 0)
			err_set(e, ERR_PROTOCOL, "unexpected answer 0x%02x",
				(unsigned)command);
		fail(c, step, e);
		return without(c);
	}
}

/* --------------------------------------------------------------- asking */

struct step {
	const char *name;
	char command;
	enum milter_stage stage;
	uint32_t no, nr;	/* MILTER_NO_*, MILTER_NR_* */
	bool is_data;		/* part of the message: may take longer */
};

static const struct step at_connect = {"connect", 'C', MILTER_AT_CONNECT,
	MILTER_NO_CONNECT, MILTER_NR_CONNECT, false};
static const struct step at_helo = {"helo", 'H', MILTER_AT_HELO,
	MILTER_NO_HELO, MILTER_NR_HELO, false};
static const struct step at_mail = {"mail", 'M', MILTER_AT_MAIL,
	MILTER_NO_MAIL, MILTER_NR_MAIL, false};
static const struct step at_rcpt = {"rcpt", 'R', MILTER_AT_RCPT,
	MILTER_NO_RCPT, MILTER_NR_RCPT, false};
static const struct step at_data = {"data", 'T', MILTER_AT_DATA,
	MILTER_NO_DATA, MILTER_NR_DATA, false};
static const struct step at_header = {"header", 'L', MILTER_AT_END,
	MILTER_NO_HEADERS, MILTER_NR_HEADER, true};
static const struct step at_eoh = {"end of headers", 'N', MILTER_AT_EOH,
	MILTER_NO_EOH, MILTER_NR_EOH, true};
static const struct step at_body = {"body", 'B', MILTER_AT_END,
	MILTER_NO_BODY, MILTER_NR_BODY, true};
static const struct step at_unknown = {"unknown", 'U', MILTER_AT_HELO,
	MILTER_NO_UNKNOWN, MILTER_NR_UNKNOWN, false};

static void
send_macros(struct mr_call *c, const struct step *step, const char *rcpt)
{
	struct milter_link *l = link_of(c);
	const struct milter_scene about = {.call = c, .rcpt = rcpt,
		.own = &config_of(c)->macros};
	struct buf data;

	buf_init(&data, MILTER_DATA_MOST - 1);
	milter_macros(&about, step->stage, l->options.symbols[step->stage],
		&data);
	if (data.full)
		mr_log(c, MR_LOG_WARN, "macros of %s are too large: left out",
			step->name);
	else if (data.len)
		milter_send(&l->stream, 'D', str_of(&step->command, 1),
			buf_str(&data), none);
	buf_free(&data);
}

/* Sends the step with what stands in the link's out as its data and hears the
 * answer, as far as the filter wants the one and gives the other. *skip (may
 * be NULL): it wants no more of this step. */
static enum mr_verdict
ask(struct mr_call *c, const struct step *step, bool *skip)
{
	const struct milter_config *m = config_of(c);
	struct milter_link *l = link_of(c);
	struct err e = {0};
	int command;

	if (l->options.steps & step->no)
		return MR_PASS;
	milter_send(&l->stream, step->command, buf_str(&l->out), none, none);
	if (l->options.steps & step->nr) {
		if (!stream_failed(&l->stream))
			return MR_PASS;
		command = milter_receive(&l->stream, &l->in, &e);
	} else {
		command = milter_link_hear(l, step->is_data ?
			m->data_timeout : m->command_timeout, &e);
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
	return !link_of(c)->open || session_of(c)->finished;
}

/* The answer to connect and helo, which concern the session. A failure is
 * told at MAIL; there is no message that could be dropped. */
static enum mr_verdict
judge_session(struct mr_call *c, const struct step *step, enum mr_verdict v)
{
	struct milter_session *s = session_of(c);
	struct err e = {0};

	if (v == MR_DISCARD) {
		err_set(&e, ERR_PROTOCOL, "discards, and there is no message");
		fail(c, step->name, &e);
	}
	s->held = false;
	if (s->failed)
		return MR_PASS;
	s->finished = v == MR_DONE;
	return v;
}

static enum mr_verdict
on_connect(struct mr_call *c)
{
	struct milter_link *l = link_of(c);
	struct err e = {0};

	if (milter_link_open(l, c, &e) < 0) {
		fail(c, "connect", &e);
		return MR_PASS;		/* told at MAIL */
	}
	send_macros(c, &at_connect, NULL);
	buf_reset(&l->out);
	write_peer(c, &l->out);
	return judge_session(c, &at_connect, ask(c, &at_connect, NULL));
}

static enum mr_verdict
on_helo(struct mr_call *c, const char *name)
{
	struct milter_link *l = link_of(c);

	if (is_out(c))
		return MR_PASS;
	send_macros(c, &at_helo, NULL);
	buf_reset(&l->out);
	add_string(&l->out, name);
	return judge_session(c, &at_helo, ask(c, &at_helo, NULL));
}

static enum mr_verdict
on_mail(struct mr_call *c, const char *sender)
{
	struct milter_session *s = session_of(c);
	struct err e = {0};
	enum mr_verdict v;

	s->held = false;
	if (s->failed)
		return without(c);
	if (is_out(c))
		return MR_DONE;
	if (milter_link_check_quiet(&s->link, &e) < 0) {
		fail(c, "mail", &e);
		return without(c);
	}
	send_macros(c, &at_mail, NULL);
	buf_reset(&s->link.out);
	milter_add_path(&s->link.out, sender,
		mr_fact(c, MR_FACT_SENDER_ARGS));
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
		return without(c);
	if (is_out(c) || (refused &&
		!(s->link.options.steps & MILTER_WANT_REFUSED)))
		return MR_PASS;
	send_macros(c, &at_rcpt, rcpt);
	buf_reset(&s->link.out);
	milter_add_path(&s->link.out, rcpt, args);
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
		return without(c);
	if (is_out(c))
		return MR_PASS;
	if (s->link.options.steps & at_data.no)
		return MR_PASS;
	send_macros(c, &at_data, NULL);
	buf_reset(&s->link.out);
	v = ask(c, &at_data, NULL);
	if (v != MR_PASS)
		s->in_message = false;
	return v;
}

static enum mr_verdict
send_headers(struct mr_call *c)
{
	struct milter_session *s = session_of(c);
	bool keep = s->link.options.steps & MILTER_LEADING_SPACE, skip = false;
	enum mr_verdict v = MR_PASS;
	struct mr_header h;
	size_t i;

	if (s->link.options.steps & at_header.no)
		return MR_PASS;
	for (i = 0; v == MR_PASS && !skip && c->host->header(c, i, &h) == 0;
		i++) {
		buf_reset(&s->link.out);
		if (!milter_add_field(&s->link.out, &h, keep))
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

	if (s->link.options.steps & at_body.no)
		return MR_PASS;
	while (v == MR_PASS && !skip) {
		buf_reset(&s->link.out);
		room = buf_reserve(&s->link.out, MILTER_DATA_MOST);
		n = room ? c->host->body_read(c, at, room, MILTER_DATA_MOST) :
			-1;
		if (n <= 0)
			break;
		buf_grew(&s->link.out, (size_t)n);
		at += (uint64_t)n;
		v = ask(c, &at_body, &skip);
	}
	if (n < 0) {
		mr_log(c, MR_LOG_ERROR, "message cannot be read from its spool");
		return MR_TEMPFAIL;
	}
	return v;
}

/* Sendmail and Postfix let edits pass that were not agreed on; so do we, and
 * say so once. */
static void
note_odd(struct mr_call *c, int command)
{
	struct milter_session *s = session_of(c);
	uint32_t action = command == 'q' ? MILTER_QUARANTINE :
		milter_edit_action(command);

	if (action & (s->link.options.actions | s->odd))
		return;
	s->odd |= action;
	mr_log(c, MR_LOG_INFO, "milter makes an edit `%c` that it did not "
		"agree on; taken", command);
}

/* Does what the filter asks for up to its final answer, which is returned;
 * -1: it failed. */
static int
hear_edits(struct mr_call *c, bool *quarantined, struct err *e)
{
	struct milter_link *l = link_of(c);
	int command;

	for (;;) {
		command = milter_link_hear(l, config_of(c)->end_timeout, e);
		if (command == 'q') {
			*quarantined = true;
			buf_addc(&l->in, '\0');
			mr_say(c, 0, NULL, buf_c(&l->in));
		} else if (!milter_is_edit(command)) {
			return command;
		} else if (milter_edit(c, command, buf_str(&l->in), e) < 0) {
			return -1;
		}
		note_odd(c, command);
	}
}

/* The end of the message: edits, then one final answer. */
static enum mr_verdict
end_message(struct mr_call *c)
{
	struct milter_session *s = session_of(c);
	static const struct step at_end = {"end of message", 'E',
		MILTER_AT_END, 0, 0, true};
	bool quarantined = false;
	struct err e = {0};
	enum mr_verdict v;
	int command = -1;

	c->host->header_exact(c, !!(s->link.options.steps &
		MILTER_LEADING_SPACE));
	if (milter_link_check_quiet(&s->link, &e) == 0) {
		send_macros(c, &at_end, NULL);
		milter_send(&s->link.stream, at_end.command, none, none,
			none);
		command = hear_edits(c, &quarantined, &e);
	}
	s->in_message = false;
	v = verdict_of(c, command, at_end.name, &e);
	if (s->failed) {
		c->host->edits_undo(c);
		return v;
	}
	milter_gate_well(config_of(c));
	return quarantined && (v == MR_PASS || v == MR_DONE) ?
		MR_QUARANTINE : v;
}

static enum mr_verdict
on_message(struct mr_call *c)
{
	struct milter_session *s = session_of(c);
	enum mr_verdict v;

	if (s->failed)
		return without(c);
	if (is_out(c))
		return MR_PASS;
	v = send_headers(c);
	if (v == MR_PASS && !(s->link.options.steps & at_eoh.no)) {
		send_macros(c, &at_eoh, NULL);
		buf_reset(&s->link.out);
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
	buf_reset(&s->link.out);
	add_string(&s->link.out, line);
	return ask(c, &at_unknown, NULL);
}

static void
on_reset(struct mr_call *c)
{
	struct milter_session *s = session_of(c);

	/* Flushed, so that the filter need not keep the message until the
	 * next one; libmilter drops what comes together with the end. */
	if (s->link.open && s->in_message) {
		milter_send(&s->link.stream, 'A', none, none, none);
		stream_flush(&s->link.stream);
	}
	s->in_message = false;
}

static void
on_disconnect(struct mr_call *c)
{
	struct milter_session *s = session_of(c);

	if (!s->link.open)
		return;
	stream_limit(&s->link.stream, 1000, 0);
	on_reset(c);
	milter_send(&s->link.stream, 'Q', none, none, none);
	stream_flush(&s->link.stream);
	milter_link_close(&s->link, config_of(c));
}

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
	.settings = milter_settings,
	.config_size = sizeof(struct milter_config),
	.session_size = sizeof(struct milter_session),
	.open = milter_open,
	.filter = &filter,
};
