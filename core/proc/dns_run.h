/*
 * dns_run.h - what the verbs of mailroom dns have in common: options, the
 * domains in question, and the way to their name servers.
 */
#ifndef PROC_DNS_RUN_H
#define PROC_DNS_RUN_H

#include "proc/cli.h"
#include "proc/dns_facts.h"

#define DNS_DOMAINS_MOST 256
#define DNS_TOLD_MOST 16

enum dns_option {		/* what a verb understands */
	DNS_OPT_ADDRESS = 1, DNS_OPT_ZONE = 2, DNS_OPT_ROWS = 4,
	DNS_OPT_POLICY = 8, DNS_OPT_WAIT = 16, DNS_OPT_YES = 32,
	DNS_OPT_PROVIDER = 64, DNS_OPT_DRY = 128,
	DNS_NEEDS_STATE = 256,	/* none: the store must keep small facts */
};

struct dns_run {
	struct cli *cli;
	struct arena a;
	struct dns_settings resolver;
	struct zone_ask_settings asking;
	struct dns_house house;
	unsigned given;			/* options, enum dns_option */
	const char *told[DNS_TOLD_MOST];	/* --address */
	const char *provider;
	int64_t wait_ms;
	const char *domain[DNS_DOMAINS_MOST];
	size_t n;
};

/* Takes [DOMAIN] and those of the options; opens configuration, store and
 * resolver. All domains of the directory where none was named. 0, else an exit
 * status: said why. dns_run_close in any case. */
int dns_run_open(struct dns_run *r, struct cli *c, unsigned options,
	int argc, char **argv);
void dns_run_close(struct dns_run *r);

#endif
