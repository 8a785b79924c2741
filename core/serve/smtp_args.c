/*
 * smtp_args.c - what the extensions add to EHLO, MAIL and RCPT (RFC 1870,
 * 2852, 3030, 3461, 4865, 4954, 6152, 6531, 6710, 8689, 9422): each argument
 * is read strictly, and what matters after acceptance is kept for the queue
 * in the form of mail/esmtp_args.h.
 *
 * A row of a table is one argument and who may use it; EHLO offers exactly
 * what the rows take.
 */
#include "base/clock.h"
#include "base/enc.h"
#include "mail/addr.h"
#include "mail/esmtp_args.h"
#include "serve/smtp.h"

#define ARGS_MOST 20
#define ENVID_MOST 100			/* RFC 3461 4.4 */
#define ORCPT_MOST 500			/* RFC 3461 4.2 */
#define BY_MOST 999999999		/* RFC 2852 4 */

struct given {			/* arguments that are being read */
	struct smtp *k;
	struct buf kept;	/* of this command */
};

/* "KEY=value" or "KEY", for the queue. */
static void
keep(struct given *g, const char *key, struct str value)
{
	buf_adds(&g->kept, g->kept.len ? " " : "");
	buf_adds(&g->kept, key);
	if (value.len)
		buf_adds(&g->kept, "=");
	buf_addstr(&g->kept, value);
}

static bool
is_xtext(struct str s, size_t most)
{
	struct buf out;
	bool good;

	if (!s.len || s.len > most)
		return false;
	buf_init(&out, most);
	good = xtext_decode(&out, s) && enc_is_ascii(s);
	buf_free(&out);
	return good;
}

/* "+12", "-3": RFC 2852 and 6710 count below zero. */
static bool
read_signed(struct str s, uint64_t most, int64_t *out)
{
	bool minus = str_starts(s, "-");
	uint64_t n;

	s = str_sub(s, minus || str_starts(s, "+"), s.len);
	if (!str_u64(s, most, &n))
		return false;
	*out = minus ? -(int64_t)n : (int64_t)n;
	return true;
}

/* ------------------------------------------------------------------- MAIL */

static struct reply
mail_size(struct given *g, struct str value)
{
	int64_t most = g->k->house->limits->message_size;
	uint64_t n;

	if (!str_u64(value, INT64_MAX, &n))
		return REPLY(501, "5.5.4", "SIZE must be a number");
	if (n > (uint64_t)most)
		return reply_printf(&g->k->session->command, 552, "5.3.4",
			"Message is larger than %lld bytes, the limit here",
			(long long)most);
	g->k->envelope.declared_size = n;
	return (struct reply){0};
}

static struct reply
mail_body(struct given *g, struct str value)
{
	bool binary = str_iis(value, "BINARYMIME");

	if (!str_iis(value, "7BIT") && !str_iis(value, "8BITMIME") && !binary)
		return REPLY(501, "5.5.4",
			"BODY must be 7BIT, 8BITMIME or BINARYMIME");
	g->k->envelope.body_8bit = !str_iis(value, "7BIT");
	g->k->is_binary = binary;
	if (!str_iis(value, "7BIT"))
		keep(g, "BODY", binary ? STR("BINARYMIME") : STR("8BITMIME"));
	return (struct reply){0};
}

/* RFC 4954 section 5: taken, and not trusted further than to be noted. */
static struct reply
mail_auth(struct given *g, struct str value)
{
	(void)g;
	return is_xtext(value, ORCPT_MOST) ? (struct reply){0} :
		REPLY(501, "5.5.4", "AUTH needs an address as xtext, or <>");
}

static struct reply
mail_utf8(struct given *g, struct str value)
{
	(void)value;
	g->k->envelope.utf8 = true;
	keep(g, "SMTPUTF8", STR(""));
	return (struct reply){0};
}

static struct reply
mail_ret(struct given *g, struct str value)
{
	bool full = str_iis(value, "FULL");

	if (!full && !str_iis(value, "HDRS"))
		return REPLY(501, "5.5.4", "RET must be FULL or HDRS");
	keep(g, "RET", full ? STR("FULL") : STR("HDRS"));
	return (struct reply){0};
}

static struct reply
mail_envid(struct given *g, struct str value)
{
	if (!is_xtext(value, ENVID_MOST))
		return REPLY(501, "5.5.4",
			"ENVID must be xtext of at most 100 characters");
	keep(g, "ENVID", value);
	return (struct reply){0};
}

static struct reply
mail_requiretls(struct given *g, struct str value)
{
	(void)value;
	keep(g, "REQUIRETLS", STR(""));
	return (struct reply){0};
}

/* Strangers may ask for less than others, and for no more. */
static struct reply
mail_priority(struct given *g, struct str value)
{
	struct smtp *k = g->k;
	int64_t n;

	if (!read_signed(value, 9, &n))
		return REPLY(501, "5.5.4", "MT-PRIORITY must be -9 to 9");
	if (n > 0 && !smtp_is_trusted(k)) {
		n = 0;
		k->note = "2.3.6";
	}
	if (n)
		keep(g, "MT-PRIORITY", str_from(arena_printf(&k->message,
			"%lld", (long long)n)));
	return (struct reply){0};
}

/* RFC 4865: both forms end up as a time. */
static struct reply
hold_until(struct given *g, int64_t until)
{
	struct smtp *k = g->k;
	int64_t now = clock_wall(), most = k->house->smtp->future_release;

	if (until - now > most + 60000)
		return reply_printf(&k->session->command, 501, "5.5.4",
			"Mail is held for at most %lld seconds here",
			(long long)(most / 1000));
	if (until > now)
		keep(g, "HOLDUNTIL", str_from(arena_printf(&k->message,
			"%lld", (long long)until)));
	return (struct reply){0};
}

static struct reply
mail_holdfor(struct given *g, struct str value)
{
	uint64_t n;

	if (!str_u64(value, 999999999, &n))
		return REPLY(501, "5.5.4", "HOLDFOR must be seconds");
	return hold_until(g, clock_wall() + (int64_t)n * 1000);
}

static struct reply
mail_holduntil(struct given *g, struct str value)
{
	int64_t until;

	if (!clock_parse_iso(value, &until))
		return REPLY(501, "5.5.4", "HOLDUNTIL must be a time such as "
			"2026-12-24T18:00:00Z");
	return hold_until(g, until);
}

static struct reply
mail_by(struct given *g, struct str value)
{
	struct str mode = value, seconds = str_cut(&mode, ';');
	bool returns = str_iis(mode, "R") || str_iis(mode, "RT");
	int64_t n;

	if (!read_signed(seconds, BY_MOST, &n) ||
		(!returns && !str_iis(mode, "N") && !str_iis(mode, "NT")))
		return REPLY(501, "5.5.4", "BY must be seconds;R or seconds;N");
	if (returns && n <= 0)
		return REPLY(501, "5.5.4", "BY: that time has passed");
	keep(g, "BY", value);
	return (struct reply){0};
}

static struct reply
mail_prdr(struct given *g, struct str value)
{
	(void)value;
	g->k->is_prdr = true;
	return (struct reply){0};
}

/* ------------------------------------------------------------------- RCPT */

static struct reply
rcpt_notify(struct given *g, struct str value)
{
	static const char *const words[] = {"SUCCESS", "FAILURE", "DELAY"};
	struct str rest = value, word;
	unsigned seen = 0;
	size_t i;
	bool is_wrong = !value.len || str_ends(value, ",");

	while (rest.len && !is_wrong && !str_iis(value, "NEVER")) {
		word = str_cut(&rest, ',');
		for (i = 0; i < 3 && !str_iis(word, words[i]); i++)
			;
		is_wrong = i == 3 || seen & 1u << i;
		seen |= 1u << i;
	}
	if (is_wrong)
		return REPLY(501, "5.5.4", "NOTIFY must be NEVER, or some of "
			"SUCCESS,FAILURE,DELAY");
	keep(g, "NOTIFY", value);
	return (struct reply){0};
}

/* "rfc822;user+40example" (RFC 3461 4.2), "utf-8;..." (RFC 6533 3). */
static struct reply
rcpt_orcpt(struct given *g, struct str value)
{
	struct str address = value, type = str_cut(&address, ';');
	bool utf8 = str_iis(type, "utf-8");
	size_t i;

	for (i = 0; i < type.len; i++)
		if (!is_alnum(type.at[i]) && type.at[i] != '-')
			break;
	if (!type.len || i < type.len || (utf8 ? !address.len ||
		address.len > ORCPT_MOST || !enc_is_utf8(address) :
		!is_xtext(address, ORCPT_MOST)))
		return REPLY(501, "5.5.4",
			"ORCPT must be a type, a semicolon and xtext");
	keep(g, "ORCPT", value);
	return (struct reply){0};
}

/* ------------------------------------------------------------------ offer */

static bool
always(const struct smtp *k)
{
	(void)k;
	return true;
}

static bool
under_tls(const struct smtp *k)
{
	return k->session->tls;
}

static bool
may_hold(const struct smtp *k)
{
	return k->is_submission && k->house->smtp->future_release > 0;
}

struct smtp_arg {
	const char *name;
	bool has_value;
	bool (*may)(const struct smtp *k);
	struct reply (*run)(struct given *g, struct str value);
};

static const struct smtp_arg mail_args[] = {
	{"SIZE", true, always, mail_size},
	{"BODY", true, always, mail_body},
	{"SMTPUTF8", false, always, mail_utf8},
	{"RET", true, always, mail_ret},
	{"ENVID", true, always, mail_envid},
	{"REQUIRETLS", false, under_tls, mail_requiretls},
	{"MT-PRIORITY", true, always, mail_priority},
	{"HOLDFOR", true, may_hold, mail_holdfor},
	{"HOLDUNTIL", true, may_hold, mail_holduntil},
	{"BY", true, always, mail_by},
	{"PRDR", false, always, mail_prdr},
	{"AUTH", true, always, mail_auth},
	{.name = NULL},
};

static const struct smtp_arg rcpt_args[] = {
	{"NOTIFY", true, always, rcpt_notify},
	{"ORCPT", true, always, rcpt_orcpt},
	{.name = NULL},
};

void
smtp_offer(const struct smtp *k, struct buf *out)
{
	char until[32];
	int64_t hold = k->house->smtp->future_release;

	buf_addf(out, "\nSIZE %lld\n8BITMIME\nSMTPUTF8\nCHUNKING\nBINARYMIME\n"
		"DSN\nDELIVERBY\nMT-PRIORITY\nPRDR\nLIMITS RCPTMAX=%lld",
		(long long)k->house->limits->message_size,
		(long long)k->house->limits->recipients);
	if (under_tls(k))
		buf_adds(out, "\nREQUIRETLS");
	if (!may_hold(k))
		return;
	clock_iso(clock_wall() + hold, until);
	buf_addf(out, "\nFUTURERELEASE %lld %.19sZ", (long long)(hold / 1000),
		until);
}

/* ------------------------------------------------------------------- read */

static struct reply
take_arg(struct given *g, const struct smtp_arg *table, struct str word,
	unsigned *seen)
{
	struct str value = word, name = str_cut(&value, '=');
	bool has_value = str_has_byte(word, '=');
	size_t i;

	for (i = 0; table[i].name; i++) {
		if (!str_iis(name, table[i].name) || !table[i].may(g->k))
			continue;
		if (*seen & 1u << i)
			return REPLY(501, "5.5.4", "Parameter given twice");
		*seen |= 1u << i;
		if (has_value != table[i].has_value)
			return reply_printf(&g->k->session->command, 501,
				"5.5.4", "%s %s", table[i].name, has_value ?
				"takes no value" : "needs a value");
		return table[i].run(g, value);
	}
	return reply_printf(&g->k->session->command, 555, "5.5.4",
		"Parameter %.*s is not known here",
		(int)(name.len > 40 ? 40 : name.len), name.at);
}

static struct reply
take_args(struct smtp *k, const struct smtp_arg *table, struct str rest,
	struct str *kept)
{
	struct given g = {.k = k};
	struct reply r = {0};
	struct str word;
	unsigned seen = 0;
	int n = 0;

	*kept = STR("");
	if (!rest.len)
		return r;
	buf_init(&g.kept, 4096);
	while (!r.code && (word = str_word(&rest)).len)
		r = !k->esmtp || n++ == ARGS_MOST ? REPLY(555, "5.5.4",
			"Parameters not taken") :
			take_arg(&g, table, word, &seen);
	if (g.kept.len)
		*kept = arena_str(&k->message, buf_str(&g.kept));
	buf_free(&g.kept);
	return r;
}

struct reply
smtp_mail_args(struct smtp *k, struct str rest)
{
	struct reply r;

	k->note = NULL;
	k->is_binary = k->is_prdr = false;
	r = take_args(k, mail_args, rest, &k->mail_kept);
	/* RFC 4865 4.1, 2852 4.1: only one of them says when. */
	if (!r.code && esmtp_arg(rest, "HOLDFOR", NULL) &&
		esmtp_arg(rest, "HOLDUNTIL", NULL))
		return REPLY(501, "5.5.4", "HOLDFOR or HOLDUNTIL, not both");
	return r;
}

struct reply
smtp_rcpt_args(struct smtp *k, struct str rest, struct str *kept)
{
	return take_args(k, rcpt_args, rest, kept);
}

struct str
smtp_kept_args(struct smtp *k, struct str of_rcpt)
{
	if (!k->mail_kept.len)
		return of_rcpt;
	if (!of_rcpt.len)
		return k->mail_kept;
	return str_from(arena_printf(&k->message, "%.*s %.*s",
		STR_ARGS(k->mail_kept), STR_ARGS(of_rcpt)));
}
