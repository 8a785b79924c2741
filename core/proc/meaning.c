/*
 * meaning.c - a table of results, each with its sentence. The command line's
 * one thread.
 */
#include "proc/meaning.h"

#include <arpa/inet.h>

/* %s in a sentence is the value of one of the result's properties. */
static const struct {
	const char *method, *value, *property, *sentence;
} meanings[] = {
	{"spf", "pass", "smtp.mailfrom", "the client may send for %s"},
	{"spf", "fail", "smtp.mailfrom", "%s says that this client may not "
		"send for it"},
	{"spf", "softfail", "smtp.mailfrom", "%s says that this client should "
		"not send for it, and is not sure"},
	{"spf", "neutral", "smtp.mailfrom", "%s does not want to say whether "
		"this client may send for it"},
	{"spf", "none", "smtp.mailfrom", "%s does not say who may send for it"},
	{"spf", "permerror", "smtp.mailfrom", "the SPF record of %s is wrong: "
		"it counts for nothing"},
	{"spf", "temperror", "smtp.mailfrom", "DNS does not answer for %s: "
		"it cannot be told now"},
	{"spf", "pass", "smtp.helo", "the client may call itself %s"},
	{"spf", "fail", "smtp.helo", "the client may not call itself %s"},
	{"spf", "none", "smtp.helo", "%s, as the client calls itself, does not "
		"say who may"},
	{"dkim", "pass", "header.d", "%s has signed it, and it is unchanged "
		"since"},
	{"dkim", "fail", "header.d", "a signature by %s does not fit: it was "
		"changed on the way, or is forged"},
	{"dkim", "neutral", "header.d", "a signature by %s cannot be used"},
	{"dkim", "policy", "header.d", "a signature by %s is of a kind that "
		"counts for nothing here"},
	{"dkim", "permerror", "header.d", "a signature by %s is broken, or its "
		"key is"},
	{"dkim", "temperror", "header.d", "the key of %s cannot be fetched "
		"now"},
	{"dkim", "none", NULL, "nobody has signed it"},
	{"dmarc", "pass", "header.from", "%s stands behind it: SPF or DKIM "
		"passed for that domain"},
	{"dmarc", "fail", "header.from", "neither SPF nor DKIM shows that it "
		"is from %s"},
	{"dmarc", "none", "header.from", "%s has no DMARC policy"},
	{"dmarc", "none", NULL, "it names no author"},
	{"dmarc", "permerror", NULL, "it does not say who its one author is"},
	{"dmarc", "temperror", "header.from", "DNS does not answer for %s: it "
		"cannot be told now"},
	{"arc", "pass", NULL, "every server that passed it on has sealed it, "
		"and the seals fit"},
	{"arc", "fail", NULL, "the seals of servers that passed it on do not "
		"fit: what they say counts for nothing"},
	{"arc", "none", NULL, "no server that passed it on has sealed it"},
};

/* "smtp.mailfrom=a@b header.d=c" */
static struct str
find_property(const char *props, const char *name)
{
	struct str rest = str_from(props ? props : ""), one, value;

	while ((one = str_word(&rest)).len) {
		value = one;
		if (str_is(str_cut(&value, '='), name))
			return value;
	}
	return STR("");
}

void
meaning_result(struct buf *out, const struct result *r)
{
	const char *hole;
	struct str value;
	size_t i;

	for (i = 0; i < sizeof meanings / sizeof *meanings; i++) {
		if (strcmp(meanings[i].method, r->method) ||
			strcmp(meanings[i].value, r->value))
			continue;
		if (!meanings[i].property)
			return buf_adds(out, meanings[i].sentence);
		value = find_property(r->props, meanings[i].property);
		if (!value.len)
			continue;
		hole = strstr(meanings[i].sentence, "%s");
		buf_add(out, meanings[i].sentence,
			(size_t)(hole - meanings[i].sentence));
		buf_addstr(out, value);
		return buf_adds(out, hole + 2);
	}
	buf_adds(out, r->props ? r->props : r->value);
}

/* -------------------------------------------------------------------- DNS */

void
meaning_record(struct buf *out, unsigned type, const struct dns_record *r)
{
	char address[INET6_ADDRSTRLEN] = "";
	size_t i;

	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		inet_ntop(type == DNS_A ? AF_INET : AF_INET6, r->text.at,
			address, sizeof address);
		return buf_adds(out, address);
	case DNS_MX:
		buf_addf(out, "%u ", r->preference);
		return buf_addstr(out, r->text);
	case DNS_TXT:
	case DNS_PTR:
	case DNS_NS:
	case DNS_CNAME:
		return buf_addstr(out, r->text);
	default:
		for (i = 0; i < r->text.len; i++)
			buf_addf(out, "%02x", (unsigned char)r->text.at[i]);
	}
}

const char *
meaning_type(unsigned type)
{
	static const struct {
		unsigned type;
		const char *name;
	} types[] = {{DNS_A, "A"}, {DNS_NS, "NS"}, {DNS_CNAME, "CNAME"},
		{DNS_PTR, "PTR"}, {DNS_MX, "MX"}, {DNS_TXT, "TXT"},
		{DNS_AAAA, "AAAA"}, {DNS_TLSA, "TLSA"}};
	size_t i;

	for (i = 0; i < sizeof types / sizeof *types; i++)
		if (types[i].type == type)
			return types[i].name;
	return "other";
}

const char *
meaning_status(enum dns_status status)
{
	static const char *const text[] = {[DNS_OK] = "found",
		[DNS_NODATA] = "no such record", [DNS_NXDOMAIN] =
		"no such name", [DNS_TEMPFAIL] = "no answer",
		[DNS_BOGUS] = "an answer that DNSSEC shows to be false"};

	return text[status];
}
