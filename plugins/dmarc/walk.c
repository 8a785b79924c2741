/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * walk.c - the DNS tree walk of RFC 9989 4.10: from a domain up to the last
 * label but one, not more than eight questions. It tells the organization
 * without a list of public suffixes.
 */
#include "dmarc.h"

#include <stdio.h>
#include <string.h>

#define ASKED_MOST 8

static size_t
count_labels(const char *name)
{
	size_t n = *name != '\0';

	for (; *name; name++)
		n += *name == '.';
	return n;
}

static const char *
parent(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot ? dot + 1 : NULL;
}

/* 1: it has one; 0; -1: DNS does not answer. Several are none. */
static int
ask(const struct resolver *r, const char *domain, struct record *out)
{
	struct mr_dns_answer got = {.size = sizeof got};
	char name[NAME_MOST + 9];
	struct record one;
	uint32_t i;
	int n = 0;

	snprintf(name, sizeof name, "_dmarc.%s", domain);
	if (strlen(name) > NAME_MOST)
		return 0;
	r->dns(r->arg, name, MR_DNS_TXT, &got);
	if (got.status == MR_DNS_TEMPFAIL || got.status == MR_DNS_BOGUS)
		return -1;
	for (i = 0; i < got.n; i++)
		if (record_read(got.record[i].data, &one)) {
			*out = one;
			n++;
		}
	return n == 1;
}

static void
set_organization(struct tree *t, const char *name, const struct record *r)
{
	t->has_organization = true;
	snprintf(t->organization, sizeof t->organization, "%s", name);
	t->has_organization_record = r != NULL;
	if (r)
		t->of_organization = *r;
}

void
walk(const struct resolver *r, const char *domain, struct tree *out)
{
	const char *name = domain, *below = NULL;
	struct record record;
	size_t labels;
	int asked, got;

	*out = (struct tree){.has_own = false};
	for (asked = 0; name && asked < ASKED_MOST; asked++) {
		got = ask(r, name, &record);
		if (got < 0) {
			out->failed = true;
			return;
		}
		if (got && name == domain) {
			out->has_own = true;
			out->own = record;
		}
		if (got && record.psd == PSD_YES && name != domain) {
			/* A suffix: the organization is just below. Its own
			 * record, if it has one, was met before; else the
			 * suffix speaks for it. */
			if (!out->has_organization_record || strcmp(
				out->organization, below))
				set_organization(out, below, &record);
			return;
		}
		if (got)
			set_organization(out, name, &record);
		if (got && record.psd == PSD_NO)
			return;
		labels = count_labels(name);
		below = name;
		name = parent(name);
		while (name && labels > ASKED_MOST && count_labels(name) >
			ASKED_MOST - 1)
			name = parent(name);
	}
}
