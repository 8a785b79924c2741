/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dmarc.h - the parts of the dmarc plugin: record.c reads a policy record,
 * walk.c finds the records of a domain and its organization, author.c the
 * domain of the From field, rows.c keeps what reports are made of, dmarc.c is
 * the filter. Only dmarc.c knows a host.
 */
#ifndef DMARC_DMARC_H
#define DMARC_DMARC_H

#include <mailroom/plugin.h>

#include <stdbool.h>
#include <stddef.h>

#define NAME_MOST 253
#define RUA_MOST 512

/* --------------------------------------------------------------- record.c */

enum policy { POLICY_UNSET, POLICY_NONE, POLICY_QUARANTINE, POLICY_REJECT };
enum psd { PSD_UNKNOWN, PSD_YES, PSD_NO };

struct record {			/* RFC 9989 4.7 */
	enum policy p, sp, np;
	bool strict_spf, strict_dkim;
	bool testing;		/* t=y */
	enum psd psd;
	char rua[RUA_MOST];	/* where reports go, as it stands; or "" */
};

/* false: it is no DMARC record. */
bool record_read(struct mr_str text, struct record *out);
const char *policy_name(enum policy p);

/* ----------------------------------------------------------------- walk.c */

struct resolver {
	void (*dns)(void *arg, const char *name, uint32_t type,
		struct mr_dns_answer *out);
	void *arg;
};

/* What the tree above a domain says (RFC 9989 4.10). */
struct tree {
	bool has_own;		/* a record of the domain itself */
	struct record own;
	bool has_organization;
	char organization[NAME_MOST + 1];	/* without any record: "" */
	struct record of_organization;	/* if has_organization_record */
	bool has_organization_record;
	bool failed;		/* DNS did not answer */
};

/* Asks at most eight times. */
void walk(const struct resolver *r, const char *domain, struct tree *out);

/* ----------------------------------------------------------------- rows.c */

struct rows;

/* FOLDER/YYYY-MM-DD, a line of JSON a message. NULL: no memory. */
struct rows *rows_open(const char *folder);
void rows_close(struct rows *r);
/* -1: it cannot be written, or the day has enough; errno says why. Any
 * thread. */
int rows_add(struct rows *r, const char *line, size_t len, int64_t seconds);

/* --------------------------------------------------------------- author.c */

enum author { AUTHOR_NONE, AUTHOR_ONE, AUTHOR_MANY };

/* The one domain of the mailboxes in a From field's value, in lower case and
 * as A-labels. MANY: they are of several. */
enum author author_domain(struct mr_str value, char out[NAME_MOST + 1]);
/* Lower case and A-labels; false: it is no domain. */
bool author_ascii(const char *domain, char out[NAME_MOST + 1]);

#endif
