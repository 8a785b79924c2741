/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * spf - is the client allowed to send for the domain it names? (RFC 7208)
 *
 * Asked at MAIL for the sender, and for the HELO name, which stands in for
 * the null sender. The results go into Authentication-Results and to the
 * filters behind. A fail is refused at once only if nobody else will judge
 * the mail: where the sender's domain publishes DMARC, its DKIM signature may
 * still save the message. Logins and clients of this machine are not asked
 * about, nor trusted ones, which bring mail of others.
 */
#include "spf.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum reject { WITHOUT_DMARC, ALWAYS, NEVER };

struct net {
	struct spf_query at;	/* only the address */
	int bits;
};

struct config {
	int64_t reject;
	bool header, helo;
	struct mr_list trusted;
	struct net *net;	/* of `trusted` */
};

struct message {
	char *field;		/* Received-SPF */
};

static const struct mr_setting settings[] = {
	{"reject", MR_CHOICE, 0, offsetof(struct config, reject),
		"\"without-dmarc\"", 0, 0, "without-dmarc|fail|never", "Refuse at "
		"MAIL what the sender's domain forbids: only if the domain has "
		"no DMARC policy, which would judge the whole message; always; "
		"never."},
	{"helo", MR_BOOL, 0, offsetof(struct config, helo), "true", 0, 0,
		NULL, "Check the HELO name beside the sender, not only in "
		"place of the null sender."},
	{"header", MR_BOOL, 0, offsetof(struct config, header), "false", 0, 0,
		NULL, "Add a Received-SPF field too."},
	{"trusted", MR_LIST, 0, offsetof(struct config, trusted), "[]", 0, 0,
		NULL, "Clients that forward mail of others, such as a second "
		"MX: addresses or networks, which are not asked about."},
	MR_SETTINGS_END,
};

/* --------------------------------------------------------------- who not */

/* "192.0.2.1", "2001:db8::/32" */
static bool
read_net(const char *text, struct net *out)
{
	char address[INET6_ADDRSTRLEN];
	size_t n = strcspn(text, "/");
	char *end = NULL;

	if (n >= sizeof address)
		return false;
	memcpy(address, text, n);
	address[n] = '\0';
	if (!spf_set_ip(&out->at, address))
		return false;
	out->bits = out->at.is_ipv6 ? 128 : 32;
	if (text[n])
		out->bits = (int)strtol(text + n + 1, &end, 10);
	return (!end || !*end) && out->bits >= 0 && out->bits <= (out->at.is_ipv6 ?
		128 : 32) && (!text[n] || text[n + 1]);
}

static bool
is_trusted(const struct config *c, const struct spf_query *client)
{
	size_t i;
	int bit;

	for (i = 0; i < c->trusted.n; i++) {
		const struct net *net = &c->net[i];

		if (net->at.is_ipv6 != client->is_ipv6)
			continue;
		for (bit = 0; bit < net->bits; bit++)
			if ((net->at.ip[bit / 8] ^ client->ip[bit / 8]) &
				(0x80 >> bit % 8))
				break;
		if (bit == net->bits)
			return true;
	}
	return false;
}

static bool
is_loopback(const struct spf_query *q)
{
	static const unsigned char one[16] = {[15] = 1};

	return q->is_ipv6 ? !memcmp(q->ip, one, 16) : q->ip[0] == 127;
}

/* ------------------------------------------------------------------ asking */

static void
ask_host(void *arg, const char *name, uint32_t type,
	struct mr_dns_answer *out)
{
	struct mr_call *call = arg;

	call->host->dns(call, name, type, out);
}

/* Labels as DNS knows them (RFC 7208 4.3); false: it is no domain. */
static bool
to_ascii(const char *domain, char out[SPF_NAME_MOST + 1])
{
	char *ascii = NULL;
	bool fits;

	if (idn2_to_ascii_8z(domain, &ascii, IDN2_NONTRANSITIONAL) != IDN2_OK)
		return false;
	fits = strlen(ascii) <= SPF_NAME_MOST;
	if (fits)
		memcpy(out, ascii, strlen(ascii) + 1);
	idn2_free(ascii);
	return fits;
}

/* Does anybody but us judge mail of this domain? An answer that does not come
 * counts as yes. */
static bool
has_dmarc(struct mr_call *call, const char *domain)
{
	struct mr_dns_answer got;
	char name[SPF_NAME_MOST + 10];
	uint32_t i;

	for (; domain && strchr(domain, '.'); domain = strchr(domain, '.')) {
		domain += *domain == '.';
		snprintf(name, sizeof name, "_dmarc.%s", domain);
		got = (struct mr_dns_answer){.size = sizeof got};
		call->host->dns(call, name, MR_DNS_TXT, &got);
		if (got.status == MR_DNS_TEMPFAIL ||
			got.status == MR_DNS_BOGUS)
			return true;
		for (i = 0; i < got.n; i++)
			if (!strncasecmp(got.record[i].data.at, "v=DMARC1", 8))
				return true;
	}
	return false;
}

/* One identity. */
struct identity {
	const char *kind;	/* "mailfrom", "helo" */
	const char *shown;	/* as the client said it */
	char sender[1024];	/* local@domain */
	char domain[SPF_NAME_MOST + 1];
};

static bool
name_identity(struct identity *id, const char *kind, const char *said)
{
	const char *at = strrchr(said, '@');
	size_t local = at ? (size_t)(at - said) : 0;

	*id = (struct identity){.kind = kind, .shown = said};
	if (!to_ascii(at ? at + 1 : said, id->domain) ||
		!spf_is_domain(id->domain) || *id->domain == '[')
		return false;
	snprintf(id->sender, sizeof id->sender, "%.*s@%s",
		local ? (int)local : 10, local ? said : "postmaster",
		id->domain);
	return true;
}

static void
note_result(struct mr_call *call, const struct identity *id,
	const struct spf_answer *a)
{
	char props[1100];
	struct mr_result r = {.size = sizeof r, .method = "spf",
		.value = spf_result_name(a->result), .props = props,
		.reason = *a->why ? a->why : NULL};

	snprintf(props, sizeof props, "smtp.%s=%s", id->kind, id->shown);
	call->host->result_add(call, &r);
}

/* Received-SPF of RFC 7208 9.1, kept for the message hook. */
static void
note_field(struct mr_call *call, const struct identity *id,
	const struct spf_answer *a)
{
	struct message *m = call->message;
	const size_t size = 2048;

	if (m->field)
		return;		/* the sender goes before the HELO name */
	m->field = call->host->message_alloc(call, size);
	snprintf(m->field, size, "%s (%s: domain of %s)\r\n"
		"\tclient-ip=%s; envelope-from=\"%s\"; helo=%s;\r\n"
		"\tidentity=%s; receiver=%s%s%s", spf_result_name(a->result),
		mr_fact(call, MR_FACT_HOSTNAME), id->domain,
		mr_fact(call, MR_FACT_PEER_ADDRESS),
		mr_fact(call, MR_FACT_SENDER), mr_fact(call, MR_FACT_HELO),
		id->kind, mr_fact(call, MR_FACT_HOSTNAME),
		*a->term ? "; mechanism=" : "", a->term);
}

static void
say_fail(struct mr_call *call, const struct identity *id,
	const struct spf_answer *a)
{
	char text[700], *at;

	snprintf(text, sizeof text, "SPF: %s is not allowed to send mail as "
		"%s (%s)%s%s%.400s", mr_fact(call, MR_FACT_PEER_ADDRESS),
		id->domain, a->term, *a->explanation ? "; " : "",
		*a->explanation ? id->domain : "", *a->explanation ?
		" says: " : "");
	if (*a->explanation)
		snprintf(text + strlen(text), sizeof text - strlen(text),
			"%.400s", a->explanation);
	for (at = text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			*at = '?';
	mr_say(call, 550, "5.7.23", text);	/* RFC 7372 3.2 */
}

static enum mr_verdict
judge(struct mr_call *call, struct spf_query *q, const struct identity *id)
{
	const struct config *c = call->config;
	struct spf_answer a;

	q->sender = id->sender;
	spf_check(q, id->domain, &a);
	mr_log(call, MR_LOG_DEBUG, "%s %s: %s %s%s", id->kind, id->shown,
		spf_result_name(a.result), a.term, a.why);
	note_result(call, id, &a);
	if (c->header)
		note_field(call, id, &a);
	if (a.result != SPF_FAIL || c->reject == NEVER ||
		(c->reject == WITHOUT_DMARC && has_dmarc(call, id->domain)))
		return MR_PASS;
	say_fail(call, id, &a);
	return MR_REJECT;
}

static enum mr_verdict
on_mail(struct mr_call *call, const char *sender)
{
	const struct config *c = call->config;
	struct spf_query q = {.dns = ask_host, .arg = call,
		.helo = mr_fact(call, MR_FACT_HELO),
		.receiver = mr_fact(call, MR_FACT_HOSTNAME),
		.now = time(NULL)};
	enum mr_verdict v = MR_PASS;
	struct identity id;

	if (*mr_fact(call, MR_FACT_AUTH_LOGIN) || !spf_set_ip(&q,
		mr_fact(call, MR_FACT_PEER_ADDRESS)) || is_loopback(&q) ||
		is_trusted(c, &q))
		return MR_PASS;
	if (*sender && name_identity(&id, "mailfrom", sender))
		v = judge(call, &q, &id);
	if (v == MR_PASS && (c->helo || !*sender) &&
		name_identity(&id, "helo", q.helo))
		v = judge(call, &q, &id);
	return v;
}

static enum mr_verdict
on_message(struct mr_call *call)
{
	const struct message *m = call->message;

	if (m->field)
		call->host->header_insert(call, 1, "Received-SPF", m->field);
	return MR_DONE;
}

static int
on_open(void *self, struct mr_open *open)
{
	struct config *c = self;
	size_t i;

	c->net = calloc(c->trusted.n + 1, sizeof *c->net);
	if (!c->net)
		return -1;
	for (i = 0; i < c->trusted.n; i++) {
		if (read_net(c->trusted.item[i], &c->net[i]))
			continue;
		snprintf(open->error, open->error_size, "trusted: `%.100s` is "
			"no address or network like 192.0.2.0/24",
			c->trusted.item[i]);
		return -1;
	}
	return 0;
}

static void
on_close(void *self)
{
	struct config *c = self;

	free(c->net);
	c->net = NULL;
}

static const struct mr_filter filter = {
	.size = sizeof filter, .may = MR_MAY_HEADERS | MR_MAY_RESULTS,
	.mail = on_mail, .message = on_message,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "spf", .version = "1.0",
	.summary = "checks whether the client may send for the domain",
	.settings = settings, .config_size = sizeof(struct config),
	.message_size = sizeof(struct message), .open = on_open,
	.close = on_close, .filter = &filter,
};
