/*
 * imap_in.c - reads all mailboxes of an account from an IMAP server.
 *
 * Any server of RFC 3501 will do; extensions are used where they are offered
 * (SPECIAL-USE, NAMESPACE). Mailboxes are examined, never selected, and
 * bodies peeked at: nothing changes there. Two FETCH commands are always on
 * their way, so the line is busy while we store. What came is known by its
 * UID, so a run that was cut off, or a later one, fetches only what is new.
 */
#include "move/imap_in.h"

#include <netdb.h>

#include "base/clock.h"
#include "base/enc.h"
#include "move/folder_name.h"
#include "move/imap_reply.h"
#include "net/sock.h"
#include "net/stream.h"

#define LINE_MOST (1 << 20)
#define LITERAL_MOST (1 << 20)		/* of other things than bodies */
#define WINDOW 50			/* messages of one FETCH */
#define PATIENCE_MS 120000
#define TRIES 5

struct box {
	struct imap_listed listed;
	const char *name;		/* in our store */
};

struct talk {
	struct move *m;
	const struct imap_source *from;
	struct intake *in;
	struct arena arena;		/* of a connection */
	struct stream s;
	bool is_open;
	unsigned tag;
	struct buf line;		/* the last one heard */
	struct spool *body;		/* its BODY[], or NULL */
	struct buf capabilities;
	const char *prefix;
	struct box *box;
	size_t n_box;
	/* The mailbox. */
	uint32_t uidvalidity, uidnext, exists;
	uint32_t *uid, *failed;
	size_t n_uid, n_failed, n_taken;
};

/* ---------------------------------------------------------------- hearing */

static int
lost(struct talk *t, struct err *e)
{
	const struct err *why = stream_error(&t->s);

	return err_set(e, why ? why->kind : ERR_CLOSED, "%s: %s",
		t->from->host, why ? why->text : "the connection was closed");
}

/* "... {123}" at the end of a line; a body may have "~{123}". */
static bool
has_literal(struct str *line, uint64_t *length)
{
	size_t open = str_rfind(*line, '{');
	struct str number;

	if (!str_ends(*line, "}") || open >= line->len)
		return false;
	number = str_sub(*line, open + 1, line->len - open - 2);
	if (str_ends(number, "+"))
		number.len--;
	if (!str_u64(number, (uint64_t)1 << 40, length))
		return false;
	line->len = open;
	if (str_ends(*line, "~"))
		line->len--;
	return true;
}

static int
hear_body(struct talk *t, uint64_t length, struct err *e)
{
	struct str some;

	if (t->body)		/* a second one: not what we asked for */
		intake_drop(t->in);
	t->body = intake_spool(t->in);
	while (length && (some = stream_peek(&t->s)).len) {
		if (some.len > length)
			some.len = (size_t)length;
		if (spool_write(t->body, some.at, some.len, e) < 0)
			return -1;
		length -= some.len;
		stream_consume(&t->s, some.len);
	}
	buf_adds(&t->line, "NIL");
	return length ? lost(t, e) : 0;
}

static int
hear_literal(struct talk *t, uint64_t length, struct err *e)
{
	char *text;
	int code = 0;

	if (t->in && str_ends(buf_str(&t->line), "BODY[] "))
		return hear_body(t, length, e);
	if (length > LITERAL_MOST)
		return err_set(e, ERR_PROTOCOL, "%s sends a literal of %llu "
			"bytes where none should be", t->from->host,
			(unsigned long long)length);
	text = mem_alloc((size_t)length + 1);
	if (stream_read(&t->s, text, (size_t)length))
		imap_reply_quote(&t->line, str_of(text, (size_t)length));
	else
		code = lost(t, e);
	free(text);
	return code;
}

/* One line with all its literals into t->line. */
static int
hear(struct talk *t, struct err *e)
{
	struct str part;
	uint64_t length;
	bool more = true;

	buf_reset(&t->line);
	if (t->body)
		intake_drop(t->in);
	t->body = NULL;
	while (more) {
		enum stream_line got = stream_line(&t->s, LINE_MOST, &part);

		if (got == STREAM_LINE_FAILED)
			return lost(t, e);
		if (got == STREAM_LINE_LONG)
			return err_set(e, ERR_PROTOCOL, "%s sends lines that "
				"are too long", t->from->host);
		more = has_literal(&part, &length);
		buf_addstr(&t->line, part);
		if (more && hear_literal(t, length, e) < 0)
			return -1;
	}
	if (str_istarts(buf_str(&t->line), "* BYE"))
		return err_set(e, ERR_CLOSED, "%s: %.150s", t->from->host,
			buf_c(&t->line) + 2);
	return 0;
}

/* ----------------------------------------------------------------- asking */

static unsigned
say(struct talk *t, const char *command)
{
	stream_printf(&t->s, "a%u %s\r\n", ++t->tag, command);
	stream_flush(&t->s);
	return t->tag;
}

/* Lines to the end of that command go to `each`, which may be NULL. 0: OK,
 * 1: NO or BAD. */
static int
answer(struct talk *t, unsigned tag, int (*each)(struct talk *t,
	struct err *e), struct err *e)
{
	char text[16];
	struct str line, rest;

	snprintf(text, sizeof text, "a%u", tag);
	for (;;) {
		if (hear(t, e) < 0)
			return -1;
		rest = line = buf_str(&t->line);
		if (str_is(str_word(&rest), text))
			return !str_iis(str_word(&rest), "OK");
		if (str_starts(line, "+"))
			return err_set(e, ERR_PROTOCOL, "%s wants more of a "
				"command that was whole", t->from->host);
		if (each && each(t, e) < 0)
			return -1;
	}
}

static int
ask(struct talk *t, const char *command, int (*each)(struct talk *t,
	struct err *e), struct err *e)
{
	return answer(t, say(t, command), each, e);
}

/* ---------------------------------------------------------------- logging in */

static int
note_capabilities(struct talk *t, struct err *e)
{
	struct str line = buf_str(&t->line);

	(void)e;
	if (str_istarts(line, "* CAPABILITY ")) {
		buf_reset(&t->capabilities);
		buf_addstr(&t->capabilities, str_sub(line, 12, line.len));
		buf_addc(&t->capabilities, ' ');
	}
	return 0;
}

static bool
offers(const struct talk *t, const char *name)
{
	struct str rest = buf_str(&t->capabilities), word;

	while ((word = str_word(&rest)).len)
		if (str_iis(word, name))
			return true;
	return false;
}

static int
connect_one(struct talk *t, struct err *e)
{
	struct addrinfo want = {.ai_socktype = SOCK_STREAM}, *all = NULL, *a;
	int code = getaddrinfo(t->from->host, t->from->port, &want, &all);
	int fd = -1;

	if (code)
		return err_set(e, ERR_DNS, "%s: %s", t->from->host,
			gai_strerror(code));
	for (a = all; a && fd < 0; a = a->ai_next) {
		struct sock_addr to = {.len = a->ai_addrlen};

		memcpy(&to.sa, a->ai_addr, a->ai_addrlen);
		fd = sock_connect(&to, NULL, clock_mono() + 30000, e);
	}
	freeaddrinfo(all);
	if (fd < 0)
		return err_wrap(e, "%s", t->from->host);
	stream_init(&t->s, fd);
	stream_limit(&t->s, PATIENCE_MS, 0);
	t->is_open = true;
	return 0;
}

static int
secure(struct talk *t, struct err *e)
{
	struct tls_want want = {.name = t->from->host};
	struct tls_ctx *ctx = tls_client_new(TLS_CHECK_NAME, t->from->ca_file,
		e);
	int code = ctx ? stream_tls_connect(&t->s, ctx, &want, e) : -1;

	tls_ctx_free(ctx);
	return code < 0 ? err_wrap(e, "%s: TLS", t->from->host) : 0;
}

static int
greet(struct talk *t, struct err *e)
{
	int code = connect_one(t, e);

	if (code == 0 && !t->from->starttls)
		code = secure(t, e);
	if (code == 0)
		code = hear(t, e);
	if (code == 0 && !str_istarts(buf_str(&t->line), "* OK"))
		return err_set(e, ERR_PROTOCOL, "%s: no IMAP server: %.100s",
			t->from->host, buf_c(&t->line));
	if (code == 0 && t->from->starttls) {
		code = ask(t, "STARTTLS", NULL, e);
		if (code > 0)
			return err_set(e, ERR_TLS, "%s offers no TLS",
				t->from->host);
		/* RFC 3501 6.2.1: nothing said before counts. */
		stream_discard_input(&t->s);
		if (code == 0)
			code = secure(t, e);
	}
	return code;
}

static int
log_in(struct talk *t, struct err *e)
{
	struct buf plain, command;
	int code;

	buf_init(&plain, BUF_NO_CAP);
	buf_init(&command, BUF_NO_CAP);
	if (offers(t, "AUTH=PLAIN") && offers(t, "SASL-IR")) {
		buf_addc(&plain, '\0');
		buf_adds(&plain, t->from->user);
		buf_addc(&plain, '\0');
		buf_adds(&plain, t->from->password);
		buf_adds(&command, "AUTHENTICATE PLAIN ");
		enc_base64(&command, plain.at, plain.len);
	} else {
		buf_adds(&command, "LOGIN ");
		imap_reply_quote(&command, str_from(t->from->user));
		buf_addc(&command, ' ');
		imap_reply_quote(&command, str_from(t->from->password));
	}
	code = ask(t, buf_c(&command), note_capabilities, e);
	explicit_bzero(command.at, command.len);
	if (plain.len)
		explicit_bzero(plain.at, plain.len);
	buf_free(&plain);
	buf_free(&command);
	if (code > 0)
		return err_set(e, ERR_REFUSED, "%s does not let %s in: %.120s",
			t->from->host, t->from->user, buf_c(&t->line));
	return code;
}

/* -------------------------------------------------------------- mailboxes */

static int
note_prefix(struct talk *t, struct err *e)
{
	const char *prefix = imap_reply_prefix(buf_str(&t->line), &t->arena);

	(void)e;
	if (*prefix)
		t->prefix = prefix;
	return 0;
}

static const char *
name_of(struct talk *t, const struct imap_listed *l)
{
	struct str name = str_from(l->name);

	if (str_iis(name, "INBOX"))
		return "INBOX";
	if (t->prefix && str_starts(name, t->prefix) &&
		name.len > strlen(t->prefix))
		name = str_sub(name, strlen(t->prefix), name.len);
	return folder_name_in(&t->arena, name, l->separator ? l->separator :
		'\0');
}

static int
note_box(struct talk *t, struct err *e)
{
	struct imap_listed l;
	struct box *b;
	size_t i;

	(void)e;
	if (!imap_reply_list(buf_str(&t->line), &t->arena, &l))
		return 0;
	for (i = 0; i < t->n_box; i++)
		if (!strcmp(t->box[i].listed.name, l.name)) {
			t->box[i].listed.is_subscribed |= l.is_subscribed;
			return 0;
		}
	if (str_istarts(buf_str(&t->line), "* LSUB"))
		return 0;		/* of one that is gone */
	t->box = mem_grow(t->box, (t->n_box + 1) * sizeof *t->box);
	b = &t->box[t->n_box++];
	*b = (struct box){.listed = l, .name = name_of(t, &l)};
	return 0;
}

static int
list_boxes(struct talk *t, struct err *e)
{
	bool extended = offers(t, "LIST-EXTENDED") &&
		offers(t, "SPECIAL-USE");
	int code = 0;

	if (offers(t, "NAMESPACE"))
		code = ask(t, "NAMESPACE", note_prefix, e);
	if (code >= 0)
		code = ask(t, extended ? "LIST \"\" \"*\" RETURN (SPECIAL-USE)"
			: "LIST \"\" \"*\"", note_box, e);
	if (code == 0)
		code = ask(t, "LSUB \"\" \"*\"", note_box, e);
	return code > 0 ? err_set(e, ERR_PROTOCOL, "%s does not list its "
		"mailboxes: %.150s", t->from->host, buf_c(&t->line)) : code;
}

static int
adopt(struct talk *t, struct err *e)
{
	const char **name = mem_alloc((t->n_box + 1) * sizeof *name);
	enum mr_special *special = mem_alloc((t->n_box + 1) *
		sizeof *special);
	size_t i, n = 0;
	int code;

	for (i = 0; i < t->n_box; i++) {
		if (t->box[i].listed.is_view)
			continue;
		name[n] = t->box[i].name;
		special[n++] = t->box[i].listed.special;
	}
	code = folder_name_adopt_as(t->m->store, t->m->account, name, special,
		n, e);
	free(name);
	free(special);
	return code;
}

/* --------------------------------------------------------------- messages */

static int
note_examined(struct talk *t, struct err *e)
{
	struct str line = buf_str(&t->line);
	uint32_t n;

	(void)e;
	if ((n = imap_reply_code(line, "UIDVALIDITY ")))
		t->uidvalidity = n;
	if ((n = imap_reply_code(line, "UIDNEXT ")))
		t->uidnext = n;
	imap_reply_exists(line, &t->exists);
	return 0;
}

static int
note_uid(struct talk *t, struct err *e)
{
	struct imap_fetched f;
	struct buf none;

	(void)e;
	buf_init(&none, 1);
	if (imap_reply_fetch(buf_str(&t->line), &f, &none) && f.uid) {
		if ((t->n_uid & (t->n_uid + 1)) == 0)
			t->uid = mem_grow(t->uid, (t->n_uid * 2 + 2) *
				sizeof *t->uid);
		t->uid[t->n_uid++] = f.uid;
	}
	buf_free(&none);
	return 0;
}

static struct str
make_key(struct talk *t, uint32_t uid, char text[100])
{
	snprintf(text, 100, "imap %.60s %u %u", t->from->host, t->uidvalidity,
		uid);
	return str_from(text);
}

static int
take_message(struct talk *t, struct err *e)
{
	struct imap_fetched f;
	struct intake_message m;
	char key[100];
	struct buf small;
	int code = 0;

	buf_init(&small, LITERAL_MOST);
	if (imap_reply_fetch(buf_str(&t->line), &f, &small) && f.uid &&
		(t->body || small.len)) {
		if (!t->body) {
			t->body = intake_spool(t->in);
			code = spool_write(t->body, small.at, small.len, e);
		}
		m = (struct intake_message){.key = make_key(t, f.uid, key),
			.uid = f.uid, .flags = f.flags,
			.received_ms = f.received_ms ? f.received_ms :
				clock_wall(),
			.keywords = str_from(f.keywords)};
		if (code == 0) {
			t->body = NULL;		/* taken */
			code = intake_add(t->in, &m, &t->m->progress, e);
			t->n_taken++;
		}
	}
	buf_free(&small);
	return code;
}

static unsigned
fetch(struct talk *t, const uint32_t *uid, size_t n)
{
	struct buf command;
	unsigned tag;
	size_t i, k;

	buf_init(&command, BUF_NO_CAP);
	buf_adds(&command, "UID FETCH ");
	for (i = 0; i < n; i = k) {
		for (k = i + 1; k < n && uid[k] == uid[k - 1] + 1; k++)
			;
		buf_addf(&command, "%s%u", i ? "," : "", uid[i]);
		if (k > i + 1)
			buf_addf(&command, ":%u", uid[k - 1]);
	}
	buf_adds(&command, " (UID FLAGS INTERNALDATE BODY.PEEK[])");
	tag = say(t, buf_c(&command));
	buf_free(&command);
	return tag;
}

/* The server would not give all of these: they are asked for one by one. */
static void
note_failed(struct talk *t, const uint32_t *uid, size_t n)
{
	t->failed = mem_grow(t->failed, (t->n_failed + n) *
		sizeof *t->failed);
	memcpy(t->failed + t->n_failed, uid, n * sizeof *uid);
	t->n_failed += n;
}

static int
take_window(struct talk *t, unsigned tag, const uint32_t *uid, size_t n,
	struct err *e)
{
	size_t before = t->n_taken;
	int code = answer(t, tag, take_message, e);

	if (code > 0 || (code == 0 && t->n_taken - before < n))
		note_failed(t, uid, n);
	return code < 0 ? -1 : 0;
}

static size_t
window(size_t at, size_t n)
{
	return n - at < WINDOW ? n - at : WINDOW;
}

static int
take_windows(struct talk *t, struct err *e)
{
	unsigned now, next = 0;
	size_t at, n;

	if (!t->n_uid)
		return 0;
	now = fetch(t, t->uid, window(0, t->n_uid));
	for (at = 0; at < t->n_uid; at += n) {
		n = window(at, t->n_uid);
		if (at + n < t->n_uid)
			next = fetch(t, t->uid + at + n, window(at + n,
				t->n_uid));
		if (take_window(t, now, t->uid + at, n, e) < 0)
			return -1;
		now = next;
	}
	return 0;
}

/* Those that came in their window after all, or are gone since, are none. */
static int
take_failed(struct talk *t, struct err *e)
{
	char text[100];
	uint8_t there;
	size_t i;

	if (!t->n_failed)
		return 0;
	if (intake_flush(t->in, &t->m->progress, e) < 0)
		return -1;
	for (i = 0; i < t->n_failed; i++) {
		struct str key = make_key(t, t->failed[i], text);
		int code = intake_known(t->in, &key, 1, &there, e);

		if (code == 0 && !there)
			code = answer(t, fetch(t, &t->failed[i], 1),
				take_message, e);
		if (code < 0)
			return -1;
		if (code == 0)
			continue;
		snprintf(text, sizeof text, "UID %u", t->failed[i]);
		progress_warn(&t->m->progress, text, buf_c(&t->line));
		t->m->progress.failed++;
	}
	return 0;
}

/* Leaves those in t->uid that did not come before. */
static int
drop_known(struct talk *t, struct err *e)
{
	size_t at, i, n, kept = 0;

	for (at = 0; at < t->n_uid; at += n) {
		char text[INTAKE_BATCH][100];
		struct str key[INTAKE_BATCH];
		uint8_t there[INTAKE_BATCH];

		n = t->n_uid - at < INTAKE_BATCH ? t->n_uid - at :
			INTAKE_BATCH;
		for (i = 0; i < n; i++)
			key[i] = make_key(t, t->uid[at + i], text[i]);
		if (intake_known(t->in, key, n, there, e) < 0)
			return -1;
		for (i = 0; i < n; i++) {
			t->m->progress.passed += there[i];
			if (!there[i])
				t->uid[kept++] = t->uid[at + i];
		}
	}
	t->n_uid = kept;
	return 0;
}

static int
take_mailbox(struct talk *t, const struct box *b, struct err *e)
{
	struct mr_error me;
	int code = intake_open(t->in, b->name, t->uidvalidity, t->uidnext, e);

	if (code == 0 && b->listed.is_subscribed)
		t->m->store->op->subscribe(t->m->store->self, t->m->account,
			b->name, 1, &me);
	if (code == 0 && t->exists)
		code = ask(t, "UID FETCH 1:* (UID)", note_uid, e);
	if (code == 0)
		code = drop_known(t, e);
	if (code == 0)
		code = take_windows(t, e);
	if (code == 0)
		code = take_failed(t, e);
	return code == 0 ? intake_flush(t->in, &t->m->progress, e) : code;
}

static int
take_box(struct talk *t, const struct box *b, struct err *e)
{
	struct buf command;
	int code;

	t->uidvalidity = t->uidnext = t->exists = 0;
	t->n_uid = t->n_failed = 0;
	buf_init(&command, BUF_NO_CAP);
	buf_adds(&command, "EXAMINE ");
	imap_reply_quote(&command, str_from(b->listed.name));
	code = ask(t, buf_c(&command), note_examined, e);
	buf_free(&command);
	if (code > 0) {
		progress_warn(&t->m->progress, b->name, buf_c(&t->line));
		t->m->progress.failed++;
		return 0;
	}
	t->m->progress.total += t->exists;
	return code == 0 ? take_mailbox(t, b, e) : code;
}

/* ------------------------------------------------------------------ a run */

static int
take_boxes(struct talk *t, struct err *e)
{
	int code = 0;
	size_t i;

	t->m->progress.total = t->m->progress.passed = 0;
	t->m->mailboxes = 0;
	for (i = 0; i < t->n_box && code == 0; i++) {
		const struct box *b = &t->box[i];

		if (!b->listed.is_selectable || !*b->name)
			continue;
		if (b->listed.is_view) {
			progress_warn(&t->m->progress, b->name, "a view of "
				"what is in other mailboxes; left out");
			continue;
		}
		code = take_box(t, b, e);
		t->m->mailboxes++;
	}
	return code > 0 ? err_set(e, ERR_PROTOCOL, "%s: %.150s",
		t->from->host, buf_c(&t->line)) : code;
}

static int
run_once(struct talk *t, struct err *e)
{
	int code = greet(t, e);

	if (code == 0)
		code = ask(t, "CAPABILITY", note_capabilities, e);
	if (code == 0)
		code = log_in(t, e);
	if (code == 0)
		code = ask(t, "CAPABILITY", note_capabilities, e);
	if (code == 0)
		code = list_boxes(t, e);
	if (code == 0)
		code = adopt(t, e);
	if (code == 0)
		code = take_boxes(t, e);
	if (code == 0)
		ask(t, "LOGOUT", NULL, NULL);
	return code;
}

static void
hang_up(struct talk *t)
{
	if (t->body)
		intake_drop(t->in);
	t->body = NULL;
	if (t->is_open)
		stream_close(&t->s);
	t->is_open = false;
	t->n_box = 0;
	t->prefix = NULL;
	arena_free(&t->arena);
}

static bool
is_passing(const struct err *e)
{
	return e->kind == ERR_CLOSED || e->kind == ERR_TIMEOUT ||
		e->kind == ERR_SYS;
}

int
imap_import(struct move *m, const struct imap_source *from, struct err *e)
{
	struct talk t = {.m = m, .from = from};
	uint64_t before;
	int code, tries = 0;

	arena_init(&t.arena);
	buf_init(&t.line, BUF_NO_CAP);
	buf_init(&t.capabilities, BUF_NO_CAP);
	do {
		before = m->progress.done;
		t.in = intake_new(m->store, m->account, m->temp, m->again, e);
		code = t.in ? run_once(&t, e) : -1;
		hang_up(&t);
		intake_free(t.in);
		tries = m->progress.done > before ? 0 : tries + 1;
		if (code < 0 && is_passing(e) && tries < TRIES && !m->again &&
			m->progress.done) {
			progress_warn(&m->progress, e->text,
				"connecting again");
			sleep((unsigned)tries * 2 + 1);
		} else {
			tries = TRIES;
		}
	} while (code < 0 && tries < TRIES);
	buf_free(&t.line);
	buf_free(&t.capabilities);
	free(t.box);
	free(t.uid);
	free(t.failed);
	return code;
}
