/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * feed.c - hands the fields and the body of a message to libopendkim.
 */
#include "dkim.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define CHUNK 16384

bool
feed_is_name(struct mr_str a, const char *name)
{
	return a.len == strlen(name) && !strncasecmp(a.at, name, a.len);
}

/* "Name:value", as it stands in the message. */
static DKIM_STAT
feed_field(DKIM *dkim, const struct mr_header *h)
{
	size_t len = h->name.len + 1 + h->value.len;
	char *line = malloc(len + 1);
	DKIM_STAT st;

	if (!line)
		return DKIM_STAT_NORESOURCE;
	memcpy(line, h->name.at, h->name.len);
	line[h->name.len] = ':';
	memcpy(line + h->name.len + 1, h->value.at, h->value.len);
	line[len] = '\0';
	st = dkim_header(dkim, (unsigned char *)line, len);
	free(line);
	return st;
}

/* A field that nobody can have named in h=: with it the library's walk along
 * h= never runs off the end of its list. It changes no hash. */
static DKIM_STAT
feed_stopper(DKIM *dkim)
{
	unsigned char random[16];
	char line[64] = "X-";
	size_t i;

	if (getrandom(random, sizeof random, 0) != sizeof random)
		return DKIM_STAT_NORESOURCE;
	for (i = 0; i < sizeof random; i++)
		snprintf(line + 2 + 2 * i, 3, "%02x", random[i]);
	snprintf(line + 34, sizeof line - 34, ": x");
	return dkim_header(dkim, (unsigned char *)line, strlen(line));
}

static DKIM_STAT
feed_body(DKIM *dkim, struct mr_call *call)
{
	char *chunk = malloc(CHUNK);
	DKIM_STAT st = chunk ? DKIM_STAT_OK : DKIM_STAT_NORESOURCE;
	uint64_t at = 0;
	int64_t n;

	while (st == DKIM_STAT_OK && (n = call->host->body_read(call, at,
		chunk, CHUNK)) != 0) {
		st = n < 0 ? DKIM_STAT_NORESOURCE : dkim_body(dkim,
			(unsigned char *)chunk, (size_t)n);
		at += (uint64_t)n;
	}
	free(chunk);
	return st;
}

DKIM_STAT
feed(DKIM *dkim, struct mr_call *call, bool hardened, feed_skip skip,
	void *arg)
{
	DKIM_STAT st = DKIM_STAT_OK;
	struct mr_header h;
	size_t i;

	for (i = 0; st == DKIM_STAT_OK &&
		call->host->header(call, i, &h) == 0; i++)
		if (!skip || !skip(arg, &h))
			st = feed_field(dkim, &h);
	if (st == DKIM_STAT_OK && hardened)
		st = feed_stopper(dkim);
	if (st == DKIM_STAT_OK)
		st = dkim_eoh(dkim);
	return st == DKIM_STAT_OK ? feed_body(dkim, call) : st;
}

/* ------------------------------------------------- the canonical length */

struct counter {
	int64_t length;		/* up to the last line that is not empty */
	int64_t pending;	/* of empty lines behind */
	int64_t line;		/* of the line at hand, without its end */
	bool relaxed, blank;	/* blank: blanks that a later byte will show */
};

static void
count_byte(struct counter *n, char c)
{
	if (c == '\r')
		return;			/* our lines end in CR LF */
	if (n->relaxed && (c == ' ' || c == '\t')) {
		n->blank = true;
		return;
	}
	if (c != '\n') {
		n->line += 1 + n->blank;
		n->blank = false;
		return;
	}
	n->pending += n->line + 2;
	if (n->line) {
		n->length += n->pending;
		n->pending = 0;
	}
	n->line = 0;
	n->blank = false;
}

int64_t
feed_canonical_length(struct mr_call *call, bool relaxed)
{
	struct counter n = {.relaxed = relaxed};
	char *chunk = malloc(CHUNK);
	int64_t got = chunk ? 1 : -1, i;
	uint64_t at = 0;

	while (got > 0) {
		got = call->host->body_read(call, at, chunk, CHUNK);
		for (i = 0; i < got; i++)
			count_byte(&n, chunk[i]);
		at += got > 0 ? (uint64_t)got : 0;
	}
	free(chunk);
	if (got < 0)
		return -1;
	return !n.length && !relaxed ? 2 : n.length;
}
