/*
 * milter_macro.c - the table of macros and their values.
 */
#include "plug/milter_macro.h"

#include "base/clock.h"

static const char *const usual[MILTER_STAGES] = {
	("j v _ {daemon_name} {daemon_addr} {daemon_port} {if_addr} {if_name} "
	"{client_addr} {client_name} {client_port} {client_ptr} "
	"{client_resolve}"),
	"{tls_version} {cipher} {cipher_bits} {verify}",
	("i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} "
	"{mail_mailer}"),
	"i {rcpt_addr} {rcpt_host} {rcpt_mailer} r s v Z",
	"i",
	"i {msg_id}",
	"i",
};

struct str
milter_usual(enum milter_stage stage)
{
	return str_from(usual[stage]);
}

static void
fact(const struct milter_scene *s, enum mr_fact which, struct buf *out)
{
	buf_adds(out, mr_fact(s->call, which));
}

static void
hostname(const struct milter_scene *s, struct buf *out)
{
	fact(s, MR_FACT_HOSTNAME, out);
}

static void
software(const struct milter_scene *s, struct buf *out)
{
	fact(s, MR_FACT_SOFTWARE, out);
}

/* "host [addr]", or "[addr]" for a peer without a confirmed name. */
static void
resolved(const struct milter_scene *s, struct buf *out)
{
	const char *name = mr_fact(s->call, MR_FACT_PEER_NAME);

	buf_addf(out, "%s%s[%s]", name, *name ? " " : "",
		mr_fact(s->call, MR_FACT_PEER_ADDRESS));
}

/* Some filters take it for their name in Authentication-Results. */
static void
daemon_name(const struct milter_scene *s, struct buf *out)
{
	fact(s, MR_FACT_AUTHSERV_ID, out);
}

static void
local_address(const struct milter_scene *s, struct buf *out)
{
	fact(s, MR_FACT_LOCAL_ADDRESS, out);
}

static void
local_port(const struct milter_scene *s, struct buf *out)
{
	fact(s, MR_FACT_LOCAL_PORT, out);
}

static void
client_address(const struct milter_scene *s, struct buf *out)
{
	fact(s, MR_FACT_PEER_ADDRESS, out);
}

static void
client_name(const struct milter_scene *s, struct buf *out)
{
	const char *name = mr_fact(s->call, MR_FACT_PEER_NAME);

	buf_adds(out, *name ? name : "unknown");
}

static void
client_port(const struct milter_scene *s, struct buf *out)
{
	fact(s, MR_FACT_PEER_PORT, out);
}

static void
client_resolve(const struct milter_scene *s, struct buf *out)
{
	buf_adds(out, *mr_fact(s->call, MR_FACT_PEER_NAME) ? "OK" : "FAIL");
}

static void
tls_version(const struct milter_scene *s, struct buf *out)
{
	fact(s, MR_FACT_TLS_VERSION, out);
}

static void
tls_cipher(const struct milter_scene *s, struct buf *out)
{
	fact(s, MR_FACT_TLS_CIPHER, out);
}

static void
tls_bits(const struct milter_scene *s, struct buf *out)
{
	fact(s, MR_FACT_TLS_BITS, out);
}

/* Clients are not asked for certificates. */
static void
tls_verify(const struct milter_scene *s, struct buf *out)
{
	if (*mr_fact(s->call, MR_FACT_TLS_VERSION))
		buf_adds(out, "NO");
}

static void
queue_id(const struct milter_scene *s, struct buf *out)
{
	fact(s, MR_FACT_QUEUE_ID, out);
}

static void
auth_type(const struct milter_scene *s, struct buf *out)
{
	fact(s, MR_FACT_AUTH_MECHANISM, out);
}

static void
auth_login(const struct milter_scene *s, struct buf *out)
{
	fact(s, MR_FACT_AUTH_LOGIN, out);
}

/* RFC 4954 section 5: what the client says of who wrote it. */
static void
auth_author(const struct milter_scene *s, struct buf *out)
{
	struct str rest = str_from(mr_fact(s->call, MR_FACT_SENDER_ARGS));
	struct str word;

	while ((word = str_word(&rest)).len)
		if (str_istarts(word, "AUTH="))
			buf_addstr(out, str_sub(word, 5, word.len));
}

static void
mail_address(const struct milter_scene *s, struct buf *out)
{
	const char *sender = mr_fact(s->call, MR_FACT_SENDER);

	buf_adds(out, *sender ? sender : "<>");
}

static void
add_domain(const char *address, struct buf *out)
{
	struct str s = str_from(address);
	size_t at = str_rfind(s, '@');

	if (at < s.len)
		buf_addstr(out, str_sub(s, at + 1, s.len));
}

static void
mail_host(const struct milter_scene *s, struct buf *out)
{
	add_domain(mr_fact(s->call, MR_FACT_SENDER), out);
}

static void
mail_mailer(const struct milter_scene *s, struct buf *out)
{
	(void)s;
	buf_adds(out, "esmtp");
}

/* For a refused recipient these three tell why (MILTER.md of the project's
 * notes, libmilter's SMFIP_RCPT_REJ). */
static void
rcpt_address(const struct milter_scene *s, struct buf *out)
{
	const char *refused = mr_fact(s->call, MR_FACT_RCPT_REFUSED);

	if (*refused)
		buf_adds(out, refused);
	else if (s->rcpt)
		buf_adds(out, s->rcpt);
}

static void
rcpt_host(const struct milter_scene *s, struct buf *out)
{
	struct str rest = str_from(mr_fact(s->call, MR_FACT_RCPT_REFUSED));

	if (rest.len) {
		str_word(&rest);
		buf_addstr(out, str_word(&rest));
	} else if (s->rcpt) {
		add_domain(s->rcpt, out);
	}
}

static void
rcpt_mailer(const struct milter_scene *s, struct buf *out)
{
	fact(s, MR_FACT_RCPT_MAILER, out);
}

static void
protocol(const struct milter_scene *s, struct buf *out)
{
	fact(s, MR_FACT_PROTOCOL, out);
}

/* Not sent unasked: with it some filters take mail to be of the future. */
static void
date(const struct milter_scene *s, struct buf *out)
{
	char text[40];

	(void)s;
	clock_mail_date(clock_wall(), text);
	buf_adds(out, text);
}

static void
helo(const struct milter_scene *s, struct buf *out)
{
	fact(s, MR_FACT_HELO, out);
}

static void
message_id(const struct milter_scene *s, struct buf *out)
{
	struct mr_header h;
	size_t i;

	for (i = 0; s->call->host->header(s->call, i, &h) == 0; i++)
		if (str_iis(str_of(h.name.at, h.name.len), "Message-Id")) {
			buf_addstr(out, str_trim(str_of(h.value.at,
				h.value.len)));
			return;
		}
}

static const struct {
	const char *name;
	void (*value)(const struct milter_scene *s, struct buf *out);
} macros[] = {
	{"j", hostname}, {"v", software}, {"_", resolved},
	{"{daemon_name}", daemon_name}, {"{daemon_addr}", local_address},
	{"{daemon_port}", local_port}, {"{if_addr}", local_address},
	{"{if_name}", hostname}, {"{client_addr}", client_address},
	{"{client_name}", client_name}, {"{client_port}", client_port},
	{"{client_ptr}", client_name}, {"{client_resolve}", client_resolve},
	{"{tls_version}", tls_version}, {"{cipher}", tls_cipher},
	{"{cipher_bits}", tls_bits}, {"{verify}", tls_verify},
	{"i", queue_id}, {"{auth_type}", auth_type},
	{"{auth_authen}", auth_login}, {"{auth_author}", auth_author},
	{"{mail_addr}", mail_address}, {"{mail_host}", mail_host},
	{"{mail_mailer}", mail_mailer}, {"{rcpt_addr}", rcpt_address},
	{"{rcpt_host}", rcpt_host}, {"{rcpt_mailer}", rcpt_mailer},
	{"r", protocol}, {"s", helo}, {"{msg_id}", message_id},
	{"Z", software}, {"b", date},
};

static bool
add_own(const struct mr_list *own, struct str name, struct buf *out)
{
	size_t i;

	for (i = 0; own && i < own->n; i++) {
		struct str value = str_from(own->item[i]);

		if (!str_eq(str_cut(&value, '='), name))
			continue;
		buf_addstr(out, value);
		return true;
	}
	return false;
}

/* Appends the value of the macro; false if it has none. A value ends at its
 * first NUL: what a stranger wrote behind one (in a Message-ID) would be read
 * as the next macro. */
static bool
add_value(const struct milter_scene *s, struct str name, struct buf *out)
{
	size_t i, before = out->len;

	if (add_own(s->own, name, out))
		return out->len > before;
	for (i = 0; i < sizeof macros / sizeof *macros; i++)
		if (str_is(name, macros[i].name)) {
			macros[i].value(s, out);
			break;
		}
	out->len = before + str_find(str_sub(buf_str(out), before, out->len),
		'\0');
	return out->len > before;
}

static void
add_macro(const struct milter_scene *s, struct str name, struct buf *out)
{
	size_t before = out->len;

	buf_addstr(out, name);
	buf_addc(out, '\0');
	if (add_value(s, name, out))
		buf_addc(out, '\0');
	else
		out->len = before;
}

/* The next of names divided by blanks or commas; empty when none is left. */
static struct str
next_name(struct str *names)
{
	size_t from = 0, to;
	struct str name;

	while (from < names->len && (is_blank(names->at[from]) ||
		names->at[from] == ','))
		from++;
	for (to = from; to < names->len && !is_blank(names->at[to]) &&
		names->at[to] != ','; to++)
		;
	name = str_sub(*names, from, to - from);
	*names = str_sub(*names, to, names->len);
	return name;
}

void
milter_macros(const struct milter_scene *s, enum milter_stage stage,
	struct str names, struct buf *out)
{
	struct str name;

	if (!names.at)
		names = milter_usual(stage);
	while ((name = next_name(&names)).len)
		add_macro(s, name, out);
	/* libmilter keeps a stage's macros until a frame that is not empty:
	 * without this the last message's would be seen again. */
	if (out->len == 0 && stage != MILTER_AT_CONNECT &&
		stage != MILTER_AT_HELO)
		add_macro(s, STR("i"), out);
}

bool
milter_macro(const struct milter_scene *s, enum milter_stage stage,
	struct str names, struct str wanted, struct buf *out)
{
	struct str name;

	if (!names.at)
		names = milter_usual(stage);
	while ((name = next_name(&names)).len)
		if (str_eq(name, wanted))
			return add_value(s, name, out);
	return false;
}
