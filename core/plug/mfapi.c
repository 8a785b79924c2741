/*
 * mfapi.c - the filter hooks of a libmilter filter inside the process: the
 * hooks of mailroom/plugin.h become its call-backs, in libmilter's order and
 * with its promises.
 *
 * What milter.c does over a socket with libmilter at the other end is done
 * here without either, and must come out the same; t/plug/mfapi compares
 * the two. So the rules of milter.c hold: after a final answer nothing more
 * of that message is shown, and an answer given at a step that was agreed to
 * have none does not count.
 *
 * A filter that breaks the rules of its interface, or that has stopped, is
 * out for the session, and on_failure decides about its messages.
 *
 * Runs on the session's threads, one at a time. What a filter may call back
 * is in mfapi_call.c, how it is started in mfapi_load.c.
 */
#include "plug/mfapi.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "plug/mfapi_parts.h"
#include "plug/milter_form.h"

static struct smfi_str *
session_of(struct mr_call *c)
{
	return c->session;
}

static struct mfapi_config *
config_of(struct mr_call *c)
{
	return c->config;
}

/* ------------------------------------------------------ beginning, end */

/* False: nothing of the filter may run. */
static bool
enter(struct mr_call *c)
{
	struct smfi_str *s = session_of(c);

	if (!s->filter || !mfapi_enter(s->filter)) {
		s->open = false;
		s->failed = true;
		return false;
	}
	s->call = c;
	return true;
}

static enum mr_verdict
leave(struct mr_call *c, enum mr_verdict v)
{
	struct smfi_str *s = session_of(c);

	s->call = NULL;
	mfapi_leave(s->filter);
	return v;
}

static enum mr_verdict
without(struct mr_call *c)
{
	return milter_without(c, config_of(c)->on_failure);
}

static void
abort_message(struct smfi_str *s)
{
	if (s->open && s->in_message && s->filter->desc.xxfi_abort)
		s->filter->desc.xxfi_abort(s);
	s->in_message = false;
}

/* The last that the filter hears of the session. */
static void
end_session(struct smfi_str *s)
{
	abort_message(s);
	if (s->open && s->filter->desc.xxfi_close)
		s->filter->desc.xxfi_close(s);
	s->open = false;
}

static void
fail(struct smfi_str *s, const char *step, const char *why)
{
	mr_log(s->call, MR_LOG_WARN, "filter failed at %s: %s", step, why);
	end_session(s);
	s->failed = true;
}

/* ------------------------------------------------------------- answers */

static enum mr_verdict
refuse(struct smfi_str *s, char class, enum mr_verdict bare)
{
	enum mr_verdict v;

	/* As in libmilter, a text of the other class waits for an answer
	 * that it fits. */
	if (!s->reply.len || s->reply.at[0] != class)
		return bare;
	v = milter_reply(s->call, buf_str(&s->reply));
	buf_reset(&s->reply);
	return v;
}

/* What a call-back's answer means. nr: the flag by which the filter has
 * promised to give none at this step. */
static enum mr_verdict
meaning(struct smfi_str *s, int answer, const char *step, uint32_t nr)
{
	if (s->steps & nr)
		return MR_PASS;
	switch (answer) {
	case SMFIS_CONTINUE:
	case SMFIS_SKIP:
		return MR_PASS;
	case SMFIS_ACCEPT:
		return MR_DONE;
	case SMFIS_DISCARD:
		return MR_DISCARD;
	case SMFIS_REJECT:
		return refuse(s, '5', MR_REJECT);
	case SMFIS_TEMPFAIL:
		return refuse(s, '4', MR_TEMPFAIL);
	default:
		/* To libmilter: no answer, for which an MTA waits until its
		 * time is over. */
		fail(s, step, "its answer is none of SMFIS_*");
		return without(s->call);
	}
}

/* ---------------------------------------------------------- negotiation */

static const char *
negotiate(struct smfi_str *s)
{
	const struct smfiDesc *d = &s->filter->desc;
	unsigned long actions = MILTER_ACTIONS, steps, unused = 0, more = 0;
	int answer;

	s->actions = (uint32_t)d->xxfi_flags;
	s->steps = s->filter->steps;
	if (d->xxfi_negotiate) {
		steps = s->steps | MILTER_MAY_SKIP;
		s->negotiating = true;
		answer = d->xxfi_negotiate(s, MILTER_ACTIONS, MILTER_STEPS, 0,
			0, &actions, &steps, &unused, &more);
		s->negotiating = false;
		if (answer != SMFIS_CONTINUE && answer != SMFIS_ALL_OPTS)
			return "it does not want to negotiate";
		s->actions = answer == SMFIS_CONTINUE ? (uint32_t)actions :
			MILTER_ACTIONS;
		s->steps = answer == SMFIS_CONTINUE ? (uint32_t)steps :
			s->steps | MILTER_MAY_SKIP;
	}
	if (s->actions & ~MILTER_ACTIONS || s->steps & ~MILTER_STEPS)
		return "it needs actions or steps that nobody has";
	return NULL;
}

/* ------------------------------------------------------------ call-backs */

static void
fill_address(const struct milter_peer *p, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	*out = (struct sockaddr_storage){.ss_family = AF_INET};
	if (inet_pton(AF_INET, p->address, &v4->sin_addr) == 1) {
		v4->sin_port = htons(p->port);
		return;
	}
	out->ss_family = AF_INET6;
	inet_pton(AF_INET6, p->address, &v6->sin6_addr);
	v6->sin6_port = htons(p->port);
}

static enum mr_verdict
tell_connect(struct smfi_str *s)
{
	const struct smfiDesc *d = &s->filter->desc;
	struct sockaddr_storage a;
	struct milter_peer p;

	mfapi_reach(s, MILTER_AT_CONNECT);
	if (s->steps & MILTER_NO_CONNECT || !d->xxfi_connect)
		return MR_PASS;
	milter_peer(s->call, &p);
	fill_address(&p, &a);
	buf_reset(&s->out);
	milter_add_host(&s->out, &p);
	return meaning(s, d->xxfi_connect(s, s->out.at, (struct sockaddr *)&a),
		"connect", MILTER_NR_CONNECT);
}

static enum mr_verdict
tell_helo(struct smfi_str *s, const char *name)
{
	const struct smfiDesc *d = &s->filter->desc;

	mfapi_reach(s, MILTER_AT_HELO);
	if (s->steps & MILTER_NO_HELO || !d->xxfi_helo)
		return MR_PASS;
	buf_reset(&s->out);
	buf_add(&s->out, name, strlen(name) + 1);
	return meaning(s, d->xxfi_helo(s, s->out.at), "helo", MILTER_NR_HELO);
}

/* The strings in s->out as a list that ends in NULL. */
static char **
path_list(struct smfi_str *s)
{
	size_t n = 0, i, at = 0;
	char **list;

	for (i = 0; i < s->out.len; i++)
		n += s->out.at[i] == '\0';
	list = s->call->host->message_alloc(s->call, (n + 1) * sizeof *list);
	for (i = 0; list && i < n; i++) {
		list[i] = s->out.at + at;
		at += strlen(list[i]) + 1;
	}
	return list;
}

static enum mr_verdict
tell_mail(struct smfi_str *s, const char *sender)
{
	const struct smfiDesc *d = &s->filter->desc;

	mfapi_reach(s, MILTER_AT_MAIL);
	s->rcpt = NULL;
	s->in_message = true;
	if (s->steps & MILTER_NO_MAIL || !d->xxfi_envfrom)
		return MR_PASS;
	buf_reset(&s->out);
	milter_add_path(&s->out, sender, mr_fact(s->call,
		MR_FACT_SENDER_ARGS));
	return meaning(s, d->xxfi_envfrom(s, path_list(s)), "mail",
		MILTER_NR_MAIL);
}

static enum mr_verdict
tell_rcpt(struct smfi_str *s, const char *rcpt, const char *args)
{
	const struct smfiDesc *d = &s->filter->desc;
	size_t n = strlen(rcpt) + 1;
	char *kept;

	mfapi_reach(s, MILTER_AT_RCPT);
	kept = s->call->host->message_alloc(s->call, n);
	s->rcpt = kept ? memcpy(kept, rcpt, n) : NULL;
	if (s->steps & MILTER_NO_RCPT || !d->xxfi_envrcpt)
		return MR_PASS;
	buf_reset(&s->out);
	milter_add_path(&s->out, rcpt, args);
	return meaning(s, d->xxfi_envrcpt(s, path_list(s)), "rcpt",
		MILTER_NR_RCPT);
}

static enum mr_verdict
tell_data(struct smfi_str *s)
{
	const struct smfiDesc *d = &s->filter->desc;

	if (s->steps & MILTER_NO_DATA)
		return MR_PASS;
	mfapi_reach(s, MILTER_AT_DATA);
	return d->xxfi_data ? meaning(s, d->xxfi_data(s), "data",
		MILTER_NR_DATA) : MR_PASS;
}

static enum mr_verdict
tell_headers(struct smfi_str *s)
{
	const struct smfiDesc *d = &s->filter->desc;
	const struct mr_host *host = s->call->host;
	bool keep = s->steps & MILTER_LEADING_SPACE;
	enum mr_verdict v = MR_PASS;
	int answer = SMFIS_CONTINUE;
	struct mr_header h;
	size_t i;

	if (s->steps & MILTER_NO_HEADERS || !d->xxfi_header)
		return MR_PASS;
	for (i = 0; v == MR_PASS && answer != SMFIS_SKIP &&
		host->header(s->call, i, &h) == 0; i++) {
		buf_reset(&s->out);
		if (!milter_add_field(&s->out, &h, keep))
			mr_log(s->call, MR_LOG_WARN,
				"header field cut for filter");
		answer = d->xxfi_header(s, s->out.at,
			s->out.at + strlen(s->out.at) + 1);
		if (s->steps & MILTER_NR_HEADER)
			answer = SMFIS_CONTINUE;
		v = meaning(s, answer, "header", MILTER_NR_HEADER);
	}
	return v;
}

static enum mr_verdict
tell_eoh(struct smfi_str *s)
{
	const struct smfiDesc *d = &s->filter->desc;

	if (s->steps & MILTER_NO_EOH)
		return MR_PASS;
	mfapi_reach(s, MILTER_AT_EOH);
	return d->xxfi_eoh ? meaning(s, d->xxfi_eoh(s), "end of headers",
		MILTER_NR_EOH) : MR_PASS;
}

static enum mr_verdict
tell_body(struct smfi_str *s)
{
	const struct smfiDesc *d = &s->filter->desc;
	const struct mr_host *host = s->call->host;
	uint64_t size = host->body_size(s->call), at = 0;
	enum mr_verdict v = MR_PASS;
	int answer = SMFIS_CONTINUE;
	int64_t n = 0;
	char *room;

	if (s->steps & MILTER_NO_BODY || !d->xxfi_body)
		return MR_PASS;
	buf_reset(&s->out);
	room = buf_reserve(&s->out, size < MILTER_DATA_MOST ? (size_t)size :
		MILTER_DATA_MOST);
	while (v == MR_PASS && answer != SMFIS_SKIP && at < size) {
		n = host->body_read(s->call, at, room, size - at <
			MILTER_DATA_MOST ? (size_t)(size - at) :
			MILTER_DATA_MOST);
		if (n <= 0)
			break;
		at += (uint64_t)n;
		answer = d->xxfi_body(s, (unsigned char *)room, (size_t)n);
		if (s->steps & MILTER_NR_BODY)
			answer = SMFIS_CONTINUE;
		v = meaning(s, answer, "body", MILTER_NR_BODY);
	}
	if (n >= 0)
		return v;
	mr_log(s->call, MR_LOG_ERROR, "message cannot be read from its spool");
	return MR_TEMPFAIL;
}

static enum mr_verdict
tell_end(struct smfi_str *s)
{
	const struct smfiDesc *d = &s->filter->desc;
	const struct mr_host *host = s->call->host;
	int answer = SMFIS_CONTINUE;
	enum mr_verdict v;

	host->header_exact(s->call, !!(s->steps & MILTER_LEADING_SPACE));
	mfapi_reach(s, MILTER_AT_END);
	s->quarantined = s->edit_failed = false;
	s->at_end = true;
	if (d->xxfi_eom)
		answer = d->xxfi_eom(s);
	s->at_end = s->in_message = false;
	if (s->edit_failed) {
		fail(s, "end of message", "an edit cannot be done");
		v = without(s->call);
	} else {
		v = meaning(s, answer, "end of message", 0);
	}
	if (s->failed)
		host->edits_undo(s->call);
	return s->quarantined && !s->failed && (v == MR_PASS ||
		v == MR_DONE) ? MR_QUARANTINE : v;
}

static enum mr_verdict
tell_message(struct smfi_str *s)
{
	enum mr_verdict v = tell_headers(s);

	if (v == MR_PASS)
		v = tell_eoh(s);
	if (v == MR_PASS)
		v = tell_body(s);
	if (v == MR_PASS)
		return tell_end(s);
	s->in_message = false;
	return v;
}

/* ----------------------------------------------------------------- hooks */

static enum mr_verdict
on_connect(struct mr_call *c)
{
	struct smfi_str *s = session_of(c);
	enum mr_verdict v;
	const char *why;

	s->filter = config_of(c)->filter;
	buf_init(&s->out, MILTER_DATA_MOST);
	buf_init(&s->reply, BUF_NO_CAP);
	if (!enter(c))
		return MR_PASS;		/* told at MAIL */
	s->open = true;
	why = negotiate(s);
	if (why) {
		fail(s, "negotiation", why);
		return leave(c, MR_PASS);
	}
	v = tell_connect(s);
	s->finished = v == MR_DONE;
	return leave(c, s->failed ? MR_PASS : v);
}

/* Out of the talk: failed at an earlier step, or content with the session. */
static bool
is_out(const struct smfi_str *s)
{
	return !s->open || s->finished;
}

static enum mr_verdict
on_helo(struct mr_call *c, const char *name)
{
	struct smfi_str *s = session_of(c);
	enum mr_verdict v;

	if (is_out(s) || !enter(c))
		return MR_PASS;
	v = tell_helo(s, name);
	s->finished = v == MR_DONE;
	return leave(c, s->failed ? MR_PASS : v);
}

static enum mr_verdict
on_mail(struct mr_call *c, const char *sender)
{
	struct smfi_str *s = session_of(c);
	enum mr_verdict v;

	if (s->finished)
		return MR_DONE;
	if (s->failed || !enter(c))
		return without(c);
	v = tell_mail(s, sender);
	if (v != MR_PASS)
		s->in_message = false;
	return leave(c, v);
}

static enum mr_verdict
on_rcpt(struct mr_call *c, const char *rcpt, const char *args)
{
	struct smfi_str *s = session_of(c);
	bool refused = *mr_fact(c, MR_FACT_RCPT_REFUSED) != '\0';
	enum mr_verdict v;

	if (s->finished || (refused && !(s->steps & MILTER_WANT_REFUSED)))
		return MR_PASS;
	if (s->failed || !enter(c))
		return without(c);
	v = tell_rcpt(s, rcpt, args);
	/* A refusal here concerns the recipient; the message goes on. One
	 * that is dropped still has its abort before it. */
	if (v == MR_DONE)
		s->in_message = false;
	return leave(c, v);
}

static enum mr_verdict
on_data(struct mr_call *c)
{
	struct smfi_str *s = session_of(c);
	enum mr_verdict v;

	if (s->finished)
		return MR_PASS;
	if (s->failed || !enter(c))
		return without(c);
	v = tell_data(s);
	if (v != MR_PASS)
		s->in_message = false;
	return leave(c, v);
}

static enum mr_verdict
on_message(struct mr_call *c)
{
	struct smfi_str *s = session_of(c);

	if (s->finished)
		return MR_PASS;
	if (s->failed || !enter(c))
		return without(c);
	return leave(c, tell_message(s));
}

static enum mr_verdict
on_unknown(struct mr_call *c, const char *line)
{
	struct smfi_str *s = session_of(c);
	const struct smfiDesc *d;

	/* Inside a message over a socket not every filter can be told. */
	if (is_out(s) || s->in_message || !enter(c))
		return MR_PASS;
	d = &s->filter->desc;
	if (s->steps & MILTER_NO_UNKNOWN || !d->xxfi_unknown)
		return leave(c, MR_PASS);
	return leave(c, meaning(s, d->xxfi_unknown(s, line), "unknown",
		MILTER_NR_UNKNOWN));
}

static void
on_reset(struct mr_call *c)
{
	struct smfi_str *s = session_of(c);

	if (s->in_message && enter(c)) {
		abort_message(s);
		leave(c, MR_PASS);
	}
	mfapi_forget(s, MILTER_AT_MAIL);
}

static void
on_disconnect(struct mr_call *c)
{
	struct smfi_str *s = session_of(c);

	if (s->open && enter(c)) {
		end_session(s);
		if (s->priv)
			mr_log(c, MR_LOG_WARN, "filter leaves its private "
				"data behind at the end of a session");
		leave(c, MR_PASS);
	}
	buf_free(&s->out);
	buf_free(&s->reply);
}

#define AT(field) offsetof(struct mfapi_config, field)

static const struct mr_setting settings[] = {
	{"args", MR_LIST, 0, AT(args), "[]", 0, 0, NULL,
		"Arguments of the filter, as on its command line."},
	{"on_failure", MR_CHOICE, 0, AT(on_failure), "\"tempfail\"", 0, 0,
		MILTER_ON_FAILURE, "What becomes of mail when the filter has "
		"stopped or breaks the rules of its interface."},
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

const struct mr_plugin mfapi_plugin = {
	MR_PLUGIN_HEAD,
	.name = "libmilter-filter",
	.version = PACKAGE_VERSION,
	.summary = "a filter written for libmilter, inside the process",
	.settings = settings,
	.config_size = sizeof(struct mfapi_config),
	.session_size = sizeof(struct smfi_str),
	.open = mfapi_open,
	.close = mfapi_close,
	.filter = &filter,
};
