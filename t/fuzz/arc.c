/*
 * arc.c - chains of seals of strangers: their fields, their keys, the body.
 * The first line is a key record, the rest a message.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../plugins/arc/text.c"
#include "../../plugins/arc/tags.c"
#include "../../plugins/arc/canon.c"
#include "../../plugins/arc/sets.c"
#include "../../plugins/arc/key.c"
#include "../../plugins/arc/check.c"

#define FIELDS_MOST 500

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mr_str record, body;

static void
give_record(void *arg, const char *name, uint32_t type,
	struct mr_dns_answer *out)
{
	static struct mr_dns_record one;

	(void)arg;
	assert(strlen(name) <= NAME_MOST && type == MR_DNS_TXT);
	one.data = record;
	out->status = record.len % 7 == 3 ? MR_DNS_TEMPFAIL : MR_DNS_OK;
	out->n = out->status == MR_DNS_OK;
	out->record = &one;
}

static int64_t
read_body(void *arg, uint64_t offset, void *out, size_t len)
{
	size_t left = offset < body.len ? body.len - (size_t)offset : 0;

	(void)arg;
	len = len < left ? len : left;
	memcpy(out, body.at + offset, len);
	return (int64_t)len;
}

static struct mr_str
line(struct mr_str *rest)
{
	const char *end = memchr(rest->at, '\n', rest->len);
	struct mr_str s = {rest->at, end ? (size_t)(end - rest->at) :
		rest->len};

	rest->at += s.len + (end != NULL);
	rest->len -= s.len + (end != NULL);
	return s;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + 1);
	struct mr_str rest = {copy, size}, one;
	struct mr_header field[FIELDS_MOST];
	struct letter l = {.field = field, .read = read_body};
	const struct resolver r = {.dns = give_record};
	struct finding found;
	struct sets sets;

	assert(copy);
	memcpy(copy, data, size);
	copy[size] = '\0';
	record = line(&rest);
	while (rest.len && l.n < FIELDS_MOST) {
		const char *colon;

		one = line(&rest);
		if (!one.len)
			break;
		colon = memchr(one.at, ':', one.len);
		if (!colon)
			continue;
		field[l.n].name = (struct mr_str){one.at,
			(size_t)(colon - one.at)};
		field[l.n++].value = (struct mr_str){colon + 1,
			one.len - (size_t)(colon + 1 - one.at)};
	}
	body = rest;
	sets_read(&l, &sets);
	check_chain(&l, &sets, &r, &found);
	assert(found.chain == CHAIN_NONE || sets.n || sets.wrong);
	assert(found.chain != CHAIN_PASS || (sets.n && !sets.wrong &&
		found.oldest_pass <= sets.n));
	assert((found.chain == CHAIN_FAIL || found.chain == CHAIN_TEMP) ==
		(found.why != NULL));
	sets_free(&sets);
	free(copy);
	return 0;
}
