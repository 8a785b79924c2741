/*
 * spf.c - SPF records and macro strings of strangers. The first line is the
 * record of fuzz.test, further ones answer look-ups in turn.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../../plugins/spf/record.c"

#define is_alpha macro_is_alpha
#define is_digit macro_is_digit
#include "../../plugins/spf/macro.c"

#define is_ascii check_is_ascii
#include "../../plugins/spf/check.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct answers {
	struct mr_str rest;
	struct mr_dns_record record;
	char *line[200];
	unsigned n;
};

static struct mr_str
next_line(struct answers *a)
{
	const char *lf = memchr(a->rest.at, '\n', a->rest.len);
	struct mr_str line = {a->rest.at, lf ? (size_t)(lf - a->rest.at) :
		a->rest.len};

	a->rest.at += line.len + (lf != NULL);
	a->rest.len -= line.len + (lf != NULL);
	return line;
}

/* As the host gives names: with a NUL behind. */
static void
answer(void *arg, const char *name, uint32_t type, struct mr_dns_answer *out)
{
	struct answers *a = arg;
	struct mr_str line = next_line(a);
	char *copy;

	assert(spf_is_domain(name));
	out->status = MR_DNS_NXDOMAIN;
	if (!line.len || a->n == 200)
		return;
	copy = a->line[a->n++] = calloc(1, line.len + 1);
	memcpy(copy, line.at, line.len);
	if (type != MR_DNS_TXT)
		line.len = strlen(copy);
	a->record = (struct mr_dns_record){.data = {copy, line.len}};
	out->status = MR_DNS_OK;
	out->n = 1;
	out->record = &a->record;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct spf_answer got;
	struct answers a = {.rest = {(const char *)data, size}};
	struct spf_query q = {.dns = answer, .arg = &a,
		.sender = "a+b@fuzz.test", .helo = "h.fuzz.test",
		.receiver = "r.test", .now = 1};

	assert(spf_set_ip(&q, size & 1 ? "192.0.2.1" : "2001:db8::1"));
	spf_check(&q, "fuzz.test", &got);
	assert(got.result <= SPF_PERMERROR && strlen(got.why) < SPF_WHY_MOST);
	while (a.n)
		free(a.line[--a.n]);
	return 0;
}
