/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * spf.h - the parts of the spf plugin: record.c reads a record's terms,
 * macro.c expands macros, check.c is check_host() of RFC 7208, spf.c the
 * filter. All but spf.c know no host: DNS is a function that they are given.
 */
#ifndef SPF_SPF_H
#define SPF_SPF_H

#include <mailroom/plugin.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPF_NAME_MOST 253	/* of a domain name, RFC 1035 */
#define SPF_EXPANDED_MOST 4096	/* of a macro string */
#define SPF_WHY_MOST 200

/* RFC 7208 2.6 */
enum spf_result {
	SPF_NONE, SPF_NEUTRAL, SPF_PASS, SPF_FAIL, SPF_SOFTFAIL,
	SPF_TEMPERROR, SPF_PERMERROR,
};

struct spf_query {
	/* As the host's dns: records stay until the check is over. */
	void (*dns)(void *arg, const char *name, uint32_t type,
		struct mr_dns_answer *out);
	void *arg;
	bool is_ipv6;
	unsigned char ip[16];	/* 4 bytes used for IPv4 */
	const char *sender;	/* local@domain */
	const char *helo;
	const char *receiver;	/* our name */
	int64_t now;		/* seconds since 1970 */
};

struct spf_answer {
	enum spf_result result;
	char term[100];		/* that decided; "" none did */
	char why[SPF_WHY_MOST];	/* of an error, or of none */
	char explanation[SPF_EXPANDED_MOST];	/* the domain's own words for
						   fail, or "" */
};

/* check_host() for the domain. May block on DNS. */
void spf_check(const struct spf_query *q, const char *domain,
	struct spf_answer *out);
const char *spf_result_name(enum spf_result r);

/* "192.0.2.1", "2001:db8::1", mapped IPv4 too; false: no address. */
bool spf_set_ip(struct spf_query *q, const char *text);
/* A name that can be asked for: labels of 1 to 63, two at least. */
bool spf_is_domain(const char *name);

/* --------------------------------------------------------------- record.c */

enum spf_kind {
	SPF_ALL, SPF_INCLUDE, SPF_A, SPF_MX, SPF_PTR, SPF_IP4, SPF_IP6,
	SPF_EXISTS, SPF_REDIRECT, SPF_EXP, SPF_UNKNOWN_MODIFIER,
};

struct spf_term {
	enum spf_kind kind;
	char qualifier;		/* + - ~ ? */
	struct mr_str text;	/* all of it */
	struct mr_str spec;	/* domain-spec, len 0: none given */
	int cidr4, cidr6;
	unsigned char ip[16];	/* SPF_IP4, SPF_IP6 */
};

/* 1: *t is the next term and *rest what follows; 0: there is none; -1: it is
 * no term, why says so (SPF_WHY_MOST). */
int spf_next_term(struct mr_str *rest, struct spf_term *t, char *why);
/* A term for people: cut to fit, strange bytes as '?'. */
void spf_copy(char *out, size_t size, struct mr_str s);
/* A TXT record that is an SPF record; *rest becomes its terms. */
bool spf_is_record(struct mr_str txt, struct mr_str *rest);

/* ---------------------------------------------------------------- macro.c */

struct spf_macro {
	const struct spf_query *q;
	const char *domain;	/* %{d} */
	/* %{p}; asked for at most once */
	const char *(*validated)(void *arg);
	void *arg;
};

/* The grammar of macro-string, and of domain-spec (RFC 7208 7.1). */
bool spf_is_macro_string(struct mr_str s, bool in_exp);
bool spf_is_domain_spec(struct mr_str s);
/* Expands a valid string. -1: it would be longer than out, or holds bytes
 * that are not ASCII (RFC 8616 4). */
int spf_expand(const struct spf_macro *m, struct mr_str s, char *out,
	size_t size);
/* The same to a name, which loses labels from the left if it is too long. */
int spf_expand_domain(const struct spf_macro *m, struct mr_str s,
	char out[SPF_NAME_MOST + 1]);

#endif
