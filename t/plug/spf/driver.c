/*
 * driver.c - check_host() over DNS data from standard input, for suite.t.
 *
 * Lines, fields divided by tabs:
 *	rr NAME TYPE HEX [PREFERENCE]	a record; HEX as the host gives data
 *	timeout NAME			the name's look-ups fail
 *	check IP HELO SENDER		prints RESULT TAB WHY TAB EXPLANATION
 *	clear				forgets all records
 */
#include "../../../plugins/spf/spf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RECORDS_MOST 4096

struct rr {
	char *name, *data;
	size_t len;
	uint32_t type;
	uint16_t preference;
};

static struct rr rr[RECORDS_MOST];
static size_t n_rr;
static struct mr_dns_record *given[RECORDS_MOST];
static size_t n_given;

static void
fail(const char *what)
{
	fprintf(stderr, "driver: %s\n", what);
	exit(1);
}

static int
nibble(char c)
{
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static void
add(const char *name, const char *type, const char *hex,
	const char *preference)
{
	struct rr *r = &rr[n_rr++];
	size_t i, len = strlen(hex) / 2;

	if (n_rr == RECORDS_MOST)
		fail("too many records");
	*r = (struct rr){.name = strdup(name), .len = len,
		.type = (uint32_t)atoi(type),
		.preference = (uint16_t)atoi(preference),
		.data = calloc(1, len + 1)};
	for (i = 0; i < len; i++)
		r->data[i] = (char)(nibble(hex[2 * i]) << 4 |
			nibble(hex[2 * i + 1]));
}

static bool
is_name(const struct rr *r, const char *name)
{
	size_t n = strlen(r->name);

	return !strncasecmp(r->name, name, n) && (!name[n] ||
		!strcmp(name + n, "."));
}

static void
dns(void *arg, const char *name, uint32_t type, struct mr_dns_answer *out)
{
	struct mr_dns_record *list = calloc(RECORDS_MOST, sizeof *list);
	const char *cname = NULL;
	int chain = 0;
	size_t i;

	(void)arg;
	if (n_given == RECORDS_MOST)
		fail("too many questions");
	given[n_given++] = list;
	out->record = list;
again:
	cname = NULL;
	for (i = 0; i < n_rr; i++) {
		if (!is_name(&rr[i], name))
			continue;
		out->status = out->n ? MR_DNS_OK : MR_DNS_NODATA;
		if (rr[i].type == MR_DNS_CNAME)
			cname = rr[i].data;
		if (rr[i].type == type)
			list[out->n++] = (struct mr_dns_record){.ttl = 60,
				.preference = rr[i].preference,
				.data = {rr[i].data, rr[i].len}};
	}
	if (out->n) {
		out->status = MR_DNS_OK;
		return;
	}
	if (cname && chain++ < 8) {
		name = cname;
		goto again;
	}
	for (i = 0; i < n_rr; i++)
		if (is_name(&rr[i], name) && !rr[i].type)
			out->status = MR_DNS_TEMPFAIL;
}

static void
check(char **field)
{
	static struct spf_answer a;
	struct spf_query q = {.dns = dns, .helo = field[2],
		.receiver = "receiver.test", .now = 1234567890};
	const char *at = strrchr(field[3], '@');
	char sender[2000];

	if (!spf_set_ip(&q, field[1]))
		fail("no address");
	if (!at || at == field[3])
		snprintf(sender, sizeof sender, "postmaster@%s", at ? at + 1 :
			*field[3] ? field[3] : field[2]);
	else
		snprintf(sender, sizeof sender, "%s", field[3]);
	q.sender = sender;
	spf_check(&q, strrchr(sender, '@') + 1, &a);
	printf("%s\t%s\t%s\n", spf_result_name(a.result), a.why,
		a.explanation);
	fflush(stdout);
	while (n_given)
		free(given[--n_given]);
}

static void
clear(void)
{
	while (n_rr) {
		free(rr[--n_rr].name);
		free(rr[n_rr].data);
	}
}

int
main(void)
{
	static char line[300000];

	while (fgets(line, sizeof line, stdin)) {
		char *field[6] = {line}, *at = line;
		int n = 1;

		line[strcspn(line, "\n")] = '\0';
		while (n < 5 && (at = strchr(at, '\t'))) {
			*at++ = '\0';
			field[n++] = at;
		}
		if (!strcmp(field[0], "rr") && n >= 4)
			add(field[1], field[2], field[3],
				n > 4 ? field[4] : "0");
		else if (!strcmp(field[0], "timeout") && n == 2)
			add(field[1], "0", "", "0");
		else if (!strcmp(field[0], "check") && n == 4)
			check(field);
		else if (!strcmp(field[0], "clear"))
			clear();
		else
			fail(field[0]);
	}
	clear();
	return 0;
}
