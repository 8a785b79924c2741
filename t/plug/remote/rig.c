/*
 * rig.c - a chain of one plugin and messages through it.
 */
#include "rig.h"

#include "base/file.h"

bool
rig_open(struct rig *r, const char *settings, struct err *e)
{
	const struct conf_node *section;
	struct str text;

	*r = (struct rig){.conf = NULL};
	conf_report_init(&r->report);
	plugins_init(&r->plugins);
	r->plugins.isolates = true;
	text = str_from(arena_printf(&r->plugins.arena, "[plugin.p]\n%s\n",
		settings));
	r->conf = conf_parse(text, "rig.toml", &r->report);
	section = conf_find(conf_root(r->conf), "plugin.p");
	if (!section || !plugins_add(&r->plugins, "p", ".", NULL, r->conf,
		section, &r->report)) {
		err_set(e, ERR_CONFIG, "%s", buf_c(&r->report.text));
		return false;
	}
	if (plugins_open(&r->plugins, "smtp", "/tmp", "mx.example.org", e) < 0)
		return false;
	r->chain = (struct chain){.name = "inbound",
		.item = r->plugins.item, .n = 1, .timeout_ms = 20000};
	return true;
}

void
rig_close(struct rig *r)
{
	plugins_close(&r->plugins);
	conf_free(r->conf);
	conf_report_free(&r->report);
	arena_free(&r->plugins.arena);
}

/* --------------------------------------------------------------- message */

static void
write_message(struct message *m, const struct rig_mail *mail)
{
	char head[400], line[80];
	struct err e = {0};
	size_t i;
	int n = snprintf(head, sizeof head, "Received: from a by b;\r\n"
		"\tTue, 24 Nov 2026 12:00:00 +0000\r\nFrom: a@example.test\r\n"
		"X-Remove: 1\r\nSubject: %s\r\nX-Change: old\r\n"
		"X-Empty:\r\nx-remove: 2\r\nX-Gone: x\r\n\r\n", mail->subject);

	message_write(m, str_of(head, (size_t)n), &e);
	for (i = 0; i < mail->body; i += (size_t)n) {
		n = snprintf(line, sizeof line, "line %zu of the body\r\n", i);
		message_write(m, str_of(line, (size_t)n), &e);
	}
	message_seal(m, &e);
}

/* What the core and earlier filters may have done: fields above Received,
 * ids that are not in a row. */
static void
edit_before(struct message *m)
{
	struct message_field f;

	message_insert(m, "before", 0, STR("X-Before-A"), STR("a"), true);
	message_insert(m, "before", 0, STR("X-Before-B"), STR("b"), true);
	if (message_find(m, STR("X-Gone"), 0, &f))
		message_remove(m, "before", f.id);
	message_insert(m, "before", SIZE_MAX, STR("X-Before-C"), STR("c"),
		true);
}

static void
show_bytes(struct message *m, struct buf *out)
{
	struct mr_piece *piece;
	struct err e = {0};
	uint64_t length;
	size_t n, i;

	message_own(m, "Received", STR("by us"));
	if (message_pieces(m, &piece, &n, &length, &e) < 0) {
		buf_addf(out, "pieces: %s\n", e.text);
		return;
	}
	for (i = 0; i < n; i++) {
		char *at = buf_reserve(out, piece[i].length);

		if (piece[i].mem)
			memcpy(at, piece[i].mem, piece[i].length);
		else
			file_pread_all(piece[i].fd, at, piece[i].length,
				piece[i].offset, &e);
		buf_grew(out, piece[i].length);
	}
}

static void
show(const struct facts *f, const char *step, struct verdict v,
	struct buf *out)
{
	const struct envelope *e = f->envelope;
	const struct result *r;
	size_t i;

	buf_addf(out, "%s: %d %d %s \"%.*s\" (%.*s)\n", step, v.kind,
		v.reply.code, v.reply.enhanced, STR_ARGS(v.reply.text),
		STR_ARGS(v.reason));
	if (!e)
		return;
	buf_addf(out, "from %.*s to", STR_ARGS(e->sender));
	for (i = 0; i < e->n_rcpt; i++)
		if (!e->rcpt[i].removed)
			buf_addf(out, " %.*s", STR_ARGS(e->rcpt[i].address));
	for (r = f->results; r; r = r->next)
		buf_addf(out, " %s=%s", r->method, r->value);
	buf_addc(out, '\n');
}

static struct verdict
content(struct hooks *h, struct facts *f, const struct rig_mail *mail,
	struct buf *out)
{
	struct verdict v;

	f->message = message_new(f->message_arena, "/tmp", mail->memory ?
		mail->memory : SIZE_MAX / 2);
	write_message(f->message, mail);
	edit_before(f->message);
	v = hooks_message(h);
	show(f, "message", v, out);
	show_bytes(f->message, out);
	return v;
}

static struct verdict
transaction(struct hooks *h, struct facts *f, const struct rig_mail *mail,
	struct buf *out)
{
	struct envelope e;
	struct message *m;
	struct verdict v, worse;
	size_t i;

	envelope_init(&e, f->message_arena);
	e.sender = str_from(mail->sender ? mail->sender : "a@example.test");
	f->envelope = &e;
	snprintf(f->queue_id, sizeof f->queue_id, "Q%s", f->session);
	worse = v = hooks_mail(h);
	show(f, "mail", v, out);
	for (i = 0; i < 2 && !v.reply.code; i++) {
		envelope_add(&e, i ? STR("two@example.test") :
			STR("one@example.test"), STR(""));
		v = hooks_rcpt(h, i, NULL);
		show(f, "rcpt", v, out);
	}
	if (v.kind == MR_PASS)
		v = content(h, f, mail, out);
	m = f->message;
	hooks_reset(h);
	message_free(m);
	f->envelope = NULL;
	return v.kind == MR_PASS ? worse : v;
}

struct verdict
rig_deliver(struct rig *r, const struct rig_mail *mail, struct buf *out)
{
	struct arena session, message;
	struct facts f = {.hostname = "mx", .session_arena = &session,
		.message_arena = &message, .listener = "mx", .purpose = "mx",
		.chain = "inbound", .software = "Mailroom",
		.authserv_id = "mx", .protocol = "ESMTP",
		.auth_mechanism = "", .rcpt_mailer = "local"};
	struct err e = {0};
	struct hooks *h;
	struct verdict v;

	arena_init(&session);
	arena_init(&message);
	snprintf(f.session, sizeof f.session, "%s", mail->session ?
		mail->session : "s1");
	sock_parse(STR("192.0.2.1:25"), &f.peer, &e);
	sock_parse(STR("192.0.2.2:25"), &f.local, &e);
	h = hooks_new(&r->chain, &f);
	v = hooks_connect(h);
	show(&f, "connect", v, out);
	f.helo = str_from(mail->helo ? mail->helo : "client");
	if (!v.reply.code) {
		v = hooks_helo(h);
		show(&f, "helo", v, out);
	}
	if (!v.reply.code)
		v = transaction(h, &f, mail, out);
	v.by = NULL;		/* of arenas that end here */
	v.reply.text = v.reason = STR("");
	hooks_end(h);
	arena_free(&message);
	arena_free(&session);
	return v;
}
