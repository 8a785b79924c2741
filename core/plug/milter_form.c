/*
 * milter_form.c - facts put into the form of the milter world, and its
 * answers put into ours. The session's thread.
 */
#include "plug/milter_form.h"

#include "plug/milter_wire.h"

void
milter_peer(struct mr_call *c, struct milter_peer *out)
{
	uint64_t port = 0;

	out->address = mr_fact(c, MR_FACT_PEER_ADDRESS);
	out->name = mr_fact(c, MR_FACT_PEER_NAME);
	if (!*out->address) {
		out->address = "127.0.0.1";
		out->name = "localhost";
	}
	str_u64(str_from(mr_fact(c, MR_FACT_PEER_PORT)), 65535, &port);
	out->port = (uint16_t)port;
}

void
milter_add_host(struct buf *out, const struct milter_peer *p)
{
	if (*p->name)
		buf_adds(out, p->name);
	else
		buf_addf(out, "[%s]", p->address);
	buf_addc(out, '\0');
}

void
milter_add_path(struct buf *out, const char *address, const char *args)
{
	struct str rest = str_from(args), word;

	buf_addc(out, '<');
	buf_adds(out, address);
	buf_add(out, ">", 2);
	while ((word = str_word(&rest)).len) {
		buf_addstr(out, word);
		buf_addc(out, '\0');
	}
}

/* Copies up to the next byte that may not stand as it is. */
static void
add_value(struct buf *out, struct str value)
{
	size_t i, from = 0;

	for (i = 0; i < value.len; i++) {
		bool is_fold = value.at[i] == '\r' && i + 1 < value.len &&
			value.at[i + 1] == '\n';

		if (value.at[i] && !is_fold)
			continue;
		buf_add(out, value.at + from, i - from);
		if (!is_fold)
			buf_addc(out, ' ');
		from = i + 1;
	}
	buf_add(out, value.at + from, value.len - from);
}

bool
milter_add_field(struct buf *out, const struct mr_header *h, bool keep_space)
{
	struct str value = str_of(h->value.at, h->value.len);

	if (!keep_space && value.len && value.at[0] == ' ')
		value = str_sub(value, 1, value.len);
	/* One NUL is kept free for a value that has to be cut. */
	if (h->name.len + value.len + 2 > out->cap)
		value.len = out->cap > h->name.len + 2 ?
			out->cap - h->name.len - 2 : 0;
	buf_add(out, h->name.at, h->name.len);
	buf_addc(out, '\0');
	add_value(out, value);
	buf_addc(out, '\0');
	return value.at + value.len == h->value.at + h->value.len;
}

enum mr_verdict
milter_without(struct mr_call *c, int64_t on_failure)
{
	enum { ON_TEMPFAIL, ON_ACCEPT, ON_REJECT, ON_QUARANTINE };

	switch (on_failure) {
	case ON_ACCEPT:
		return MR_DONE;
	case ON_REJECT:
		mr_say(c, 550, "5.7.1", "mail filter not available");
		return MR_REJECT;
	case ON_QUARANTINE:
		mr_say(c, 0, NULL, "mail filter not available");
		return MR_QUARANTINE;
	default:
		mr_say(c, 451, "4.7.1", "Service unavailable - try again "
			"later");
		return MR_TEMPFAIL;
	}
}

enum mr_verdict
milter_reply(struct mr_call *c, struct str data)
{
	char enhanced[12];
	struct buf text;
	int code;
	bool good;

	buf_init(&text, 8192);
	good = milter_parse_reply(data, &code, enhanced, &text);
	if (good)
		mr_say(c, code, *enhanced ? enhanced : NULL, buf_c(&text));
	buf_free(&text);
	if (!good) {
		mr_log(c, MR_LOG_WARN, "milter gave a reply that is no 4xx "
			"or 5xx");
		return MR_TEMPFAIL;
	}
	return code == 421 ? MR_HANGUP : code < 500 ? MR_TEMPFAIL : MR_REJECT;
}
