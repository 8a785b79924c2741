/*
 * smtp_life.c - how a message came and what was done to it, as one line of
 * JSON for the ledger: client, TLS, account, recipients and where they lead,
 * what filters said and changed. `mailroom trace` shows it.
 *
 * Written by hand into one buffer: this is on the way of every message. What
 * is long is cut, so that a row stays small.
 */
#include "base/enc.h"
#include "serve/smtp.h"

#define LIFE_MOST (64 << 10)
#define TEXT_MOST 200
#define LIST_MOST 50		/* of each kind */

static bool
is_plain(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] < 32 || s.at[i] == '"' ||
			s.at[i] == '\\' || (unsigned char)s.at[i] > 126)
			return false;
	return true;
}

static void
add_escaped(struct buf *b, struct str s)
{
	bool is_text = enc_is_utf8(s);
	size_t i;

	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c < 32 || c == '"' || c == '\\' || c == 127)
			buf_addf(b, "\\u%04x", c);
		else
			buf_addc(b, c < 128 || is_text ? (char)c : '?');
	}
}

static void
add_string(struct buf *b, struct str s)
{
	s = str_sub(s, 0, TEXT_MOST);
	buf_addc(b, '"');
	if (is_plain(s))
		buf_addstr(b, s);
	else
		add_escaped(b, s);
	buf_addc(b, '"');
}

/* ,"key":"value"; nothing for an empty one. */
static void
add(struct buf *b, const char *key, struct str value)
{
	if (!value.len)
		return;
	buf_adds(b, b->at[b->len - 1] == '{' ? "\"" : ",\"");
	buf_adds(b, key);
	buf_adds(b, "\":");
	add_string(b, value);
}

static void
begin_item(struct buf *b)
{
	buf_adds(b, b->at[b->len - 1] == '[' ? "{" : ",{");
}

static void
add_client(struct buf *b, struct smtp *k)
{
	const struct facts *f = &k->facts;
	char peer[SOCK_TEXT], tls[120] = "";

	sock_host(&f->peer, peer);
	if (*f->tls.version)
		snprintf(tls, sizeof tls, "%s %s", f->tls.version,
			f->tls.cipher);
	add(b, "client", str_from(peer));
	add(b, "client_name", f->peer_name);
	add(b, "helo", f->helo);
	add(b, "protocol", str_from(f->protocol));
	add(b, "tls", str_from(tls));
	add(b, "account", str_from(k->account));
	add(b, "listener", str_from(f->listener));
	add(b, "chain", str_from(f->chain));
	add(b, "session", str_from(f->session));
}

static void
add_message(struct buf *b, struct smtp *k, struct message *m)
{
	struct message_field f;

	add(b, "args", k->envelope.sender_args);
	buf_addf(b, ",\"sender\":");
	add_string(b, k->envelope.sender);
	buf_addf(b, ",\"size\":%llu",
		(unsigned long long)message_raw_length(m));
	if (message_find(m, STR("Message-ID"), 0, &f))
		add(b, "message_id", str_trim(f.value));
}

/* An address that is the account of that name needs no word. */
static void
add_targets(struct buf *b, const struct envelope_rcpt *r,
	const struct route_target *t)
{
	unsigned n = 0;

	if (!t || (!t->next && t->account && str_is(r->address, t->account)))
		return;
	buf_adds(b, ",\"leads\":[");
	for (; t && n < LIST_MOST; t = t->next) {
		buf_adds(b, n++ ? "," : "");
		add_string(b, str_from(t->account ? t->account : t->address));
	}
	buf_addc(b, ']');
}

static void
add_rcpts(struct buf *b, struct smtp *k)
{
	const struct envelope *e = &k->envelope;
	size_t i, n = 0;

	buf_adds(b, ",\"rcpt\":[");
	for (i = 0; i < e->n_rcpt && n++ < LIST_MOST; i++) {
		const struct envelope_rcpt *r = &e->rcpt[i];

		begin_item(b);
		add(b, "to", r->address);
		add(b, "args", r->args);
		add(b, "by_filter", r->added ? STR("added") :
			r->removed ? STR("removed") : STR(""));
		add(b, "filed", r->mailbox);
		if (!r->added)
			add_targets(b, r, k->rcpt[i].targets);
		buf_addc(b, '}');
	}
	buf_addc(b, ']');
}

static void
add_said(struct buf *b, const struct facts *f)
{
	const struct said *s;
	unsigned n = 0;

	if (!f->said)
		return;
	buf_adds(b, ",\"filters\":[");
	for (s = f->said; s && n++ < LIST_MOST; s = s->next) {
		begin_item(b);
		add(b, "filter", str_from(s->filter));
		add(b, "at", str_from(s->hook));
		add(b, "verdict", str_from(s->verdict));
		add(b, "text", s->text);
		buf_addc(b, '}');
	}
	buf_addc(b, ']');
}

static void
add_results(struct buf *b, const struct facts *f)
{
	const struct result *r;
	unsigned n = 0;

	if (!f->results)
		return;
	buf_adds(b, ",\"results\":[");
	for (r = f->results; r && n++ < LIST_MOST; r = r->next) {
		begin_item(b);
		add(b, "method", str_from(r->method));
		add(b, "value", str_from(r->value));
		add(b, "reason", str_from(r->reason));
		add(b, "props", str_from(r->props));
		buf_addc(b, '}');
	}
	buf_addc(b, ']');
}

static void
add_edits(struct buf *b, const struct message *m)
{
	struct message_edit e;
	size_t i;

	if (!message_is_edited(m))
		return;
	buf_adds(b, ",\"edits\":[");
	for (i = 0; i < LIST_MOST && message_edit(m, i, &e); i++) {
		begin_item(b);
		add(b, "by", str_from(e.who));
		add(b, "what", str_from(e.what));
		add(b, "field", e.name);
		add(b, "before", e.before);
		add(b, "after", e.after);
		buf_addc(b, '}');
	}
	buf_addc(b, ']');
}

const char *
smtp_life(struct smtp *k, struct message *m)
{
	struct buf b;
	const char *out;

	buf_init(&b, LIFE_MOST);
	buf_addc(&b, '{');
	add_client(&b, k);
	add_message(&b, k, m);
	add_rcpts(&b, k);
	add_said(&b, &k->facts);
	add_results(&b, &k->facts);
	add_edits(&b, m);
	buf_addc(&b, '}');
	/* Half of it would be no JSON. */
	out = b.full ? NULL : arena_cstr(&k->message, buf_str(&b));
	buf_free(&b);
	return out;
}
