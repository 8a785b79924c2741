/*
 * dane.h - TLSA records of a mail server (RFC 7672).
 */
#ifndef QUEUE_DANE_H
#define QUEUE_DANE_H

#include "net/dns.h"
#include "net/tls.h"
#include "queue/hosts.h"

enum dane_answer {
	DANE_NONE,	/* DNSSEC does not vouch for any */
	DANE_USABLE,	/* *out: the certificate must fit one of them */
	DANE_UNUSABLE,	/* there are some, none that we can check: encrypt */
	DANE_FAILED,	/* nobody can say: the host may not be used now */
};

struct dane {
	const char *base;	/* the name they stand at (RFC 7672 2.2.2) */
	struct tls_tlsa *record;
	size_t n;
};

/* Blocks on DNS. */
enum dane_answer dane_look_up(struct dns *d, const struct host *host,
	unsigned port, int64_t deadline, struct arena *a, struct dane *out);

#endif
