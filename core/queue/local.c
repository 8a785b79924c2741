/*
 * local.c - a session without a client: the steps of the chain in their order,
 * for one message that lies in memory.
 */
#include "queue/local.h"

#include "base/enc.h"
#include "base/file.h"
#include "base/log.h"

#define ROOM (64 << 10)		/* what filters may add before a file is used */

struct passing {
	struct arena session, message;
	struct facts facts;
	struct envelope envelope;
	struct message *text;
	struct hooks *hooks;
};

static void
fill_facts(struct passing *p, const struct chain *c,
	const struct local_mail *m)
{
	struct facts *f = &p->facts;

	*f = (struct facts){.hostname = m->hostname,
		.authserv_id = m->hostname,
		.software = "Mailroom " PACKAGE_VERSION,
		.listener = "local", .purpose = "submission",
		.chain = c->name, .peer.sa.ss_family = AF_UNIX,
		.local.sa.ss_family = AF_UNIX, .peer_name = STR(""),
		.helo = str_from(m->hostname), .protocol = "LOCAL",
		.auth_login = STR(""), .auth_mechanism = "",
		.rcpt_refused = STR(""), .rcpt_mailer = "",
		.session_arena = &p->session, .message_arena = &p->message,
		.envelope = &p->envelope};
	enc_random_word(f->session, 10);
	snprintf(f->queue_id, sizeof f->queue_id, "%s", m->trace);
}

static bool
is_end(const struct verdict *v)
{
	return v->kind > MR_DONE && v->kind != MR_QUARANTINE;
}

/* What the chain says to the message, in the order of a session. */
static struct verdict
ask(struct passing *p)
{
	struct verdict v = hooks_connect(p->hooks), held = {.kind = MR_PASS};
	int step;

	for (step = 0; !is_end(&v) && step < 5; step++) {
		if (v.kind == MR_QUARANTINE && held.kind == MR_PASS)
			held = v;
		switch (step) {
		case 0:
			v = hooks_helo(p->hooks);
			break;
		case 1:
			v = hooks_mail(p->hooks);
			break;
		case 2:
			v = hooks_rcpt(p->hooks, 0, NULL);
			break;
		case 3:
			v = hooks_data(p->hooks);
			break;
		default:
			p->facts.message = p->text;
			v = hooks_message(p->hooks);
			p->facts.message = NULL;
		}
	}
	return v.kind == MR_PASS || v.kind == MR_DONE ?
		(held.kind ? held : v) : v;
}

/* The final bytes, in one piece. */
static int
take_text(struct passing *p, struct local_mail *m, struct arena *a,
	struct err *e)
{
	struct mr_piece *piece;
	uint64_t length;
	size_t n, i, at = 0;
	char *text;

	if (message_pieces(p->text, &piece, &n, &length, e) < 0)
		return -1;
	text = arena_alloc(a, length + 1);
	for (i = 0; i < n; i++) {
		if (piece[i].fd < 0)
			memcpy(text + at, piece[i].mem, piece[i].length);
		else if (file_pread_all(piece[i].fd, text + at,
			piece[i].length, piece[i].offset, e) < 0)
			return -1;
		at += piece[i].length;
	}
	m->text = str_of(text, at);
	return 0;
}

static int
make_message(struct passing *p, const struct local_mail *m, struct err *e)
{
	p->text = message_new(&p->message, arena_printf(&p->message, "%s/tmp",
		m->data), m->text.len + ROOM);
	envelope_init(&p->envelope, &p->message);
	p->envelope.sender = STR("");
	p->envelope.sender_args = STR("");
	envelope_add(&p->envelope, str_from(m->rcpt), STR(""));
	return message_write(p->text, m->text, e) < 0 ? -1 :
		message_seal(p->text, e);
}

static enum local_answer
judge(struct passing *p, struct local_mail *m, const struct verdict *v,
	struct arena *a)
{
	struct err e = {0};

	m->by = v->by ? arena_cstr(a, str_from(v->by)) : "";
	m->reason = arena_str(a, v->reply.code ? v->reply.text : v->reason);
	if (v->kind == MR_TEMPFAIL || v->kind == MR_HANGUP) {
		log_warn("queue.local", LOG_S("message", m->trace),
			LOG_S("filter", m->by), LOG_S("result",
			"sent without it"), LOG_STR("text", m->reason));
		return LOCAL_SEND;
	}
	if (v->kind == MR_REJECT || v->kind == MR_DISCARD)
		return LOCAL_DROP;
	if (take_text(p, m, a, &e) < 0)
		log_warn("queue.local", LOG_S("message", m->trace),
			LOG_S("result", "sent unchanged"),
			LOG_S("error", e.text));
	return v->kind == MR_QUARANTINE ? LOCAL_HOLD : LOCAL_SEND;
}

enum local_answer
local_filter(const struct chain *c, struct local_mail *m, struct arena *a)
{
	enum local_answer answer = LOCAL_SEND;
	struct passing p = {.hooks = NULL};
	struct verdict v;
	struct err e = {0};

	if (!c || !c->n)
		return LOCAL_SEND;
	arena_init(&p.session);
	arena_init(&p.message);
	fill_facts(&p, c, m);
	if (make_message(&p, m, &e) == 0) {
		p.hooks = hooks_new(c, &p.facts);
		v = ask(&p);
		answer = judge(&p, m, &v, a);
		hooks_end(p.hooks);
	} else {
		log_warn("queue.local", LOG_S("message", m->trace),
			LOG_S("result", "sent unfiltered"),
			LOG_S("error", e.text));
	}
	message_free(p.text);
	arena_free(&p.message);
	arena_free(&p.session);
	return answer;
}
