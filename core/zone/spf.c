/*
 * spf.c - reads SPF terms as far as merging needs it. A record that others
 * wrote is taken apart at blanks; terms that are not understood are kept as
 * they are.
 */
#include "zone/spf.h"

#include <arpa/inet.h>

#include "base/buf.h"
#include "base/clock.h"
#include "net/sock.h"

#define FRESH_ALL "~all"	/* where the domain had no record */
#define DEPTH_MOST 10

bool
spf_is_record(struct str text)
{
	struct str first = str_cut(&text, ' ');

	return str_iis(first, "v=spf1");
}

/* A term without its qualifier; '+' where it has none. */
static struct str
bare(struct str term, char *qualifier)
{
	*qualifier = '+';
	if (term.len && memchr("+-~?", term.at[0], 4)) {
		*qualifier = term.at[0];
		term = str_sub(term, 1, term.len);
	}
	return term;
}

static bool
is_all(struct str term)
{
	char q;

	return str_iis(bare(term, &q), "all");
}

static bool
is_redirect(struct str term)
{
	return str_istarts(term, "redirect=");
}

/* ------------------------------------------------------------ is it there? */

/* Which of the addresses the network of an ip4: or ip6: term holds. */
static uint64_t
covered(struct str term, const struct spf_server *s)
{
	struct sock_net net;
	struct sock_addr one;
	uint64_t found = 0;
	char text[SOCK_TEXT];
	size_t i;

	if (sock_parse_net(str_sub(term, 4, term.len), &net, NULL) < 0)
		return 0;
	for (i = 0; i < s->n_address && i < 64; i++) {
		snprintf(text, sizeof text, strchr(s->address[i], ':') ?
			"[%s]:25" : "%s:25", s->address[i]);
		if (sock_parse(str_from(text), &one, NULL) == 0 &&
			sock_in_net(&one, &net))
			found |= 1ull << i;
	}
	return found;
}

/* "mx", "mx:DOMAIN", "a:HOSTNAME"; "a" where the domain is the host. */
static bool
names_host(struct str term, const struct spf_server *s)
{
	struct str value = term, verb = str_cut(&value, ':');

	verb = str_sub(verb, 0, str_find(verb, '/'));
	value = str_sub(value, 0, str_find(value, '/'));
	if (str_iis(verb, "mx"))
		return !value.len || str_iis(value, s->domain);
	if (str_iis(verb, "a"))
		return str_iis(value.len ? value : str_from(s->domain),
			s->hostname);
	return false;
}

bool
spf_names(struct str record, const struct spf_server *s)
{
	uint64_t found = 0, all = s->n_address >= 64 ? UINT64_MAX :
		(1ull << s->n_address) - 1;
	struct str term;
	char q;

	str_word(&record);
	while ((term = bare(str_word(&record), &q)).len) {
		if (q != '+')
			continue;
		if (names_host(term, s))
			return true;
		if (str_istarts(term, "ip4:") || str_istarts(term, "ip6:"))
			found |= covered(term, s);
	}
	return all && found == all;
}

/* ----------------------------------------------------------------- merging */

static void
put_server(struct buf *out, const struct spf_server *s, bool by_address)
{
	size_t i;

	if (!by_address || !s->n_address)
		buf_adds(out, " mx");
	for (i = 0; by_address && i < s->n_address; i++)
		buf_addf(out, " ip%c:%s", strchr(s->address[i], ':') ? '6' :
			'4', s->address[i]);
}

/* Was the term in one of the records before, or earlier in its own? */
static bool
is_repeated(const struct str *live, size_t which, struct str term)
{
	struct str rest, one;
	size_t i;

	for (i = 0; i <= which; i++) {
		rest = live[i];
		while ((one = str_word(&rest)).len && one.at != term.at)
			if (str_ieq(one, term))
				return true;
	}
	return false;
}

static void
put_terms(struct buf *out, const struct str *live, size_t which)
{
	struct str rest = live[which], term;

	str_word(&rest);
	while ((term = str_word(&rest)).len)
		if (!is_all(term) && !is_redirect(term) &&
			!is_repeated(live, which, term))
			buf_addf(out, " %.*s", STR_ARGS(term));
}

/* What ends the record: the first that says so decides for all. */
static struct str
ending(const struct str *live, size_t n)
{
	struct str rest, term;
	size_t i;

	for (i = 0; i < n; i++) {
		rest = live[i];
		while ((term = str_word(&rest)).len)
			if (is_all(term) || is_redirect(term))
				return term;
	}
	return n ? STR("") : STR(FRESH_ALL);
}

const char *
spf_merge(const struct str *live, size_t n, const struct spf_server *s,
	bool by_address, struct arena *a)
{
	struct str end = ending(live, n);
	bool is_named = false;
	const char *text;
	struct buf out;
	size_t i;

	for (i = 0; i < n; i++)
		is_named |= spf_names(live[i], s);
	if (n == 1 && is_named)
		return arena_cstr(a, live[0]);
	buf_init(&out, 8192);
	buf_adds(&out, "v=spf1");
	if (!is_named)
		put_server(&out, s, by_address);
	for (i = 0; i < n; i++)
		put_terms(&out, live, i);
	if (end.len)
		buf_addf(&out, " %.*s", STR_ARGS(end));
	text = arena_cstr(a, buf_str(&out));
	buf_free(&out);
	return text;
}

/* ---------------------------------------------------------------- counting */

struct count {
	struct dns *dns;
	int64_t deadline;
	struct arena *a;
	unsigned n;
};

/* Terms that take a look-up; *target: the domain whose record is read, too. */
static bool
takes_lookup(struct str term, struct str *target)
{
	static const char *const verbs[] = {"a", "mx", "ptr", "exists",
		"include"};
	struct str value, verb;
	char q;
	size_t i;

	*target = STR("");
	if (is_redirect(term)) {
		*target = str_sub(term, 9, term.len);
		return true;
	}
	value = bare(term, &q);
	verb = str_cut(&value, ':');
	verb = str_sub(verb, 0, str_find(verb, '/'));
	for (i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (str_iis(verb, verbs[i])) {
			*target = i == 4 ? value : STR("");
			return true;
		}
	return false;
}

static void
count_terms(struct count *c, struct str record, unsigned depth)
{
	struct str term, target;
	struct dns_answer got;
	size_t i;

	str_word(&record);
	while ((term = str_word(&record)).len &&
		c->n <= 2 * SPF_LOOKUPS_MOST) {
		if (!takes_lookup(term, &target))
			continue;
		c->n++;
		/* What has macros in it is known only for a given mail. */
		if (!target.len || str_has_byte(target, '%') ||
			depth == DEPTH_MOST)
			continue;
		dns_query(c->dns, target, DNS_TXT, c->deadline, c->a, &got);
		for (i = 0; i < got.n; i++)
			if (spf_is_record(got.record[i].text))
				count_terms(c, got.record[i].text, depth + 1);
	}
}

unsigned
spf_count_lookups(struct dns *d, struct str record, int64_t deadline,
	struct arena *a)
{
	struct count c = {d, deadline, a, 0};

	count_terms(&c, record, 0);
	return c.n;
}
