/*
 * dns_run.c - arguments and set-up of mailroom dns.
 */
#include "proc/dns_run.h"

#define WAIT_MS (30 * 60000ll)	/* --wait without a time */

/* ----------------------------------------------------------------- options */

static int
take_address(struct dns_run *r, const char *text)
{
	const char *clean = dns_clean_address(text, &r->a);

	if (!clean || r->house.n_address == DNS_TOLD_MOST)
		return cli_usage(r->cli, "--address takes an IPv4 or IPv6 "
			"address");
	r->told[r->house.n_address++] = clean;
	return 0;
}

static int
take_provider(struct dns_run *r, const char *text)
{
	r->provider = text;
	return *text && *text != '-' ? 0 : cli_usage(r->cli,
		"--provider takes a name that lexicon knows");
}

static const struct dns_word {
	const char *word;
	enum dns_option option;
	int (*value)(struct dns_run *r, const char *text);
} words[] = {
	{"--address", DNS_OPT_ADDRESS, take_address},
	{"--zone", DNS_OPT_ZONE, NULL},
	{"--rows", DNS_OPT_ROWS, NULL},
	{"--policy", DNS_OPT_POLICY, NULL},
	{"--wait", DNS_OPT_WAIT, NULL},
	{"--yes", DNS_OPT_YES, NULL},
	{"--provider", DNS_OPT_PROVIDER, take_provider},
	{"--dry-run", DNS_OPT_DRY, NULL},
};

static const struct dns_word *
find_word(const char *text, unsigned options)
{
	size_t i;

	for (i = 0; i < sizeof words / sizeof *words; i++)
		if (!strcmp(words[i].word, text) &&
			(options & words[i].option))
			return &words[i];
	return NULL;
}

/* A time behind --wait, or what else stands there. */
static int
take_plain(struct dns_run *r, const char *text, const char *before)
{
	if (before && !strcmp(before, "--wait") &&
		conf_parse_duration(str_from(text), &r->wait_ms))
		return 0;
	if (*text == '-')
		return cli_usage(r->cli, "unknown option");
	if (r->n)
		return cli_usage(r->cli, "one domain, or none for all");
	r->domain[r->n++] = text;
	return 0;
}

static int
take_args(struct dns_run *r, unsigned options, int argc, char **argv)
{
	const struct dns_word *w;
	int i, code = 0;

	r->wait_ms = WAIT_MS;
	for (i = 0; i < argc && !code; i++) {
		w = find_word(argv[i], options);
		if (!w) {
			code = take_plain(r, argv[i], i ? argv[i - 1] : NULL);
			continue;
		}
		r->given |= w->option;
		if (w->value && ++i == argc)
			return cli_usage(r->cli, "an option without its "
				"value");
		if (w->value)
			code = w->value(r, argv[i]);
	}
	return code;
}

/* ------------------------------------------------------------------ domains */

static int
take_domains(struct dns_run *r)
{
	struct buf names;
	struct err e = {0};
	const char *told = r->n ? cli_address(r->cli, r->domain[0]) : NULL;
	int code = 0;
	size_t at;

	r->n = 0;
	buf_init(&names, BUF_NO_CAP);
	if (dns_domains(&r->cli->store, &names, &e) < 0)
		code = cli_fail("domains", &e);
	for (at = 0; at < names.len; at += strlen(names.at + at) + 1)
		if ((!told || !strcmp(told, names.at + at)) &&
			r->n < DNS_DOMAINS_MOST)
			r->domain[r->n++] = arena_cstr(&r->a,
				str_from(names.at + at));
	buf_free(&names);
	if (code || r->n)
		return code;
	fprintf(stderr, "mailroom: %s%s: `mailroom domain add %s` makes it\n",
		told ? told : "there is no domain yet", told ? " is no domain "
		"of this server" : "", told ? told : "DOMAIN");
	return 1;
}

int
dns_run_open(struct dns_run *r, struct cli *c, unsigned options, int argc,
	char **argv)
{
	struct err e = {0};
	int code;

	*r = (struct dns_run){.cli = c};
	arena_init(&r->a);
	code = take_args(r, options, argc, argv);
	if (!code)
		code = (options & DNS_NEEDS_STATE ? cli_need_state :
			cli_need_store)(c);
	if (!code)
		code = take_domains(r);
	if (code)
		return code;
	r->resolver = config_dns(c->config);
	r->resolver.no_cache = true;	/* what is new must be seen */
	r->house.dns = dns_new(&r->resolver, &e);
	if (!r->house.dns)
		return cli_fail("name resolution", &e);
	r->asking = dns_ask_settings(c->config, r->house.dns);
	r->house.config = c->config;
	r->house.store = &c->store;
	r->house.asker = zone_asker_new(&r->asking);
	r->house.address = r->told;
	return 0;
}

void
dns_run_close(struct dns_run *r)
{
	zone_asker_free(r->house.asker);
	dns_free(r->house.dns);
	arena_free(&r->a);
}
