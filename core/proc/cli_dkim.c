/*
 * cli_dkim.c - mailroom dkim: the keys of our domains, and their change
 * without a moment in which mail goes out with a key that is not in DNS.
 *
 * A rotation is four steps, and each can be the last one made today: new keys
 * are made; they are published; DNS shows them and they sign; the old ones are
 * withdrawn when mail that they signed has arrived everywhere.
 */
#include "proc/cli.h"

#include <dirent.h>
#include <time.h>

#include "base/clock.h"
#include "net/dns.h"
#include "proc/dkim_key.h"
#include "proc/priv.h"

#define PAST_DAYS 7		/* that mail may be under way */
#define LOOK_EVERY 10		/* seconds, with --wait */
#define PIECE 255		/* of a TXT string, RFC 1035 3.3 */

struct keyring {
	struct cli *cli;
	struct arena a;
	const char *folder, *domain;
	struct dkim_key *key;
	size_t n;
};

/* -------------------------------------------------------------- the keyring */

static int
read_keys(struct keyring *k)
{
	struct err e = {0};

	if (dkim_keys(k->folder, k->domain, &k->a, &k->key, &k->n, &e) < 0)
		return cli_fail(k->domain, &e);
	return 0;
}

static int
open_keyring(struct keyring *k, struct cli *c, const char *domain)
{
	struct err e = {0};
	char *at;

	*k = (struct keyring){.cli = c};
	arena_init(&k->a);
	if (cli_need_config(c))
		return 1;
	/* The server reads what we make. */
	if (priv_drop(c->config->server.user, &e) < 0)
		return cli_fail("cannot go on", &e);
	k->folder = dkim_folder(c->config, &k->a);
	if (!domain)
		return 0;
	at = arena_cstr(&k->a, str_from(domain));
	k->domain = at;
	for (; *at; at++)
		*at = (char)(*at >= 'A' && *at <= 'Z' ? *at | 0x20 : *at);
	if (!strchr(domain, '.') || strchr(domain, '/') || *domain == '.')
		return cli_usage(c, "that is no domain like example.org");
	return read_keys(k);
}

static size_t
count(const struct keyring *k, enum dkim_state state)
{
	size_t i, n = 0;

	for (i = 0; i < k->n; i++)
		n += k->key[i].state == state;
	return n;
}

/* ------------------------------------------------------------------ output */

static json_t *
key_json(const struct keyring *k, const struct dkim_key *key)
{
	return json_pack("{ss ss ss ss ss sI}", "domain", k->domain,
		"kind", dkim_kind_name(key->kind), "state",
		dkim_state_name(key->state), "name", key->name, "record",
		key->record, "since_ms", (json_int_t)key->since_ms);
}

/* As a line of a zone file; web forms take what stands between the quotes. */
static void
print_record(const struct dkim_key *key)
{
	const char *at = key->record;
	size_t left = strlen(at), n;

	printf("%s. 3600 IN TXT (", key->name);
	for (; left; at += n, left -= n) {
		n = left < PIECE ? left : PIECE;
		printf(" \"%.*s\"", (int)n, at);
	}
	puts(" )");
}

static int
print_records(const struct keyring *k, bool (*wanted)(enum dkim_state s))
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < k->n; i++) {
		if (!wanted(k->key[i].state))
			continue;
		if (k->cli->json)
			json_array_append_new(list, key_json(k, &k->key[i]));
		else
			print_record(&k->key[i]);
	}
	if (k->cli->json)
		return cli_print_json(list);
	json_decref(list);
	return 0;
}

static bool
is_published(enum dkim_state s)
{
	return s != DKIM_PAST;
}

static bool
is_waiting(enum dkim_state s)
{
	return s == DKIM_WAITING;
}

/* ------------------------------------------------------------- new and show */

static int
make_keys(struct keyring *k)
{
	struct err e = {0};

	if (dkim_make(k->folder, k->domain, &k->a, &e) < 0)
		return cli_fail("making keys", &e);
	return read_keys(k);
}

static int
switch_keys(struct keyring *k)
{
	struct err e = {0};

	if (dkim_switch(k->folder, k->domain, &k->a, &e) < 0)
		return cli_fail("switching keys", &e);
	return read_keys(k);
}

static int
run_new(struct cli *c, int argc, char **argv)
{
	struct keyring k;
	int code = open_keyring(&k, c, argv[0]);

	(void)argc;
	if (!code && k.n) {
		fprintf(stderr, "mailroom: %s has keys: `mailroom dkim rotate "
			"%s` makes new ones\n", k.domain, k.domain);
		code = 1;
	}
	if (!code)
		code = make_keys(&k);
	if (!code)
		code = switch_keys(&k);
	if (!code && !c->json)
		printf("Mail of %s is signed from now on. Publish:\n\n",
			k.domain);
	if (!code)
		code = print_records(&k, is_published);
	arena_free(&k.a);
	return code;
}

static int
run_show(struct cli *c, int argc, char **argv)
{
	struct keyring k;
	int code = open_keyring(&k, c, argv[0]);

	(void)argc;
	if (!code && !k.n) {
		fprintf(stderr, "mailroom: %s has no keys: `mailroom dkim new "
			"%s` makes them\n", k.domain, k.domain);
		code = 1;
	}
	if (!code)
		code = print_records(&k, is_published);
	arena_free(&k.a);
	return code;
}

/* -------------------------------------------------------------------- list */

static int
list_domain(struct keyring *k, json_t *all)
{
	char when[32];
	size_t i;

	if (read_keys(k))
		return 1;
	for (i = 0; i < k->n; i++) {
		if (k->cli->json) {
			json_array_append_new(all, key_json(k, &k->key[i]));
			continue;
		}
		cli_when(k->key[i].since_ms, when);
		printf("%-24s %-8s %-14s %-8s since %s\n", k->domain,
			dkim_kind_name(k->key[i].kind), k->key[i].selector,
			dkim_state_name(k->key[i].state), when);
	}
	return 0;
}

static int
run_list(struct cli *c, int argc, char **argv)
{
	struct keyring k;
	json_t *all = json_array();
	int code = open_keyring(&k, c, NULL);
	struct dirent *entry;
	DIR *d;

	(void)argc;
	(void)argv;
	d = code ? NULL : opendir(k.folder);
	while (!code && d && (entry = readdir(d)))
		if (*entry->d_name != '.') {
			k.domain = entry->d_name;
			code = list_domain(&k, all);
		}
	if (d)
		closedir(d);
	arena_free(&k.a);
	if (!code && c->json)
		return cli_print_json(all);
	json_decref(all);
	return code;
}

/* ------------------------------------------------------------------ rotate */

static bool
shows(struct dns *d, const struct dkim_key *key, struct arena *a)
{
	struct dns_answer got;

	dns_query(d, str_from(key->name), DNS_TXT, clock_mono() + 10000, a,
		&got);
	return got.status == DNS_OK && got.n == 1 && str_eq(
		got.record[0].text, str_from(key->record));
}

static size_t
count_missing(struct keyring *k, struct dns *d, const char **first)
{
	size_t i, n = 0;

	for (i = 0; i < k->n; i++) {
		if (k->key[i].state != DKIM_WAITING ||
			shows(d, &k->key[i], &k->a))
			continue;
		if (!n++)
			*first = k->key[i].name;
	}
	return n;
}

/* 0: DNS shows all that wait. */
static int
wait_for_dns(struct keyring *k, int64_t minutes)
{
	struct dns_settings s = config_dns(k->cli->config);
	int64_t end = clock_mono() + minutes * 60000;
	const char *first = NULL;
	struct err e = {0};
	struct dns *d;
	size_t missing;

	s.no_cache = true;	/* what is waited for must not be remembered */
	d = dns_new(&s, &e);
	if (!d)
		return cli_fail("name resolution", &e);
	while ((missing = count_missing(k, d, &first)) &&
		clock_mono() + LOOK_EVERY * 1000 <= end)
		nanosleep(&(struct timespec){LOOK_EVERY, 0}, NULL);
	dns_free(d);
	if (missing)
		fprintf(stderr, "mailroom: DNS does not show %s yet: publish "
			"it, then `mailroom dkim rotate %s` again (--wait "
			"MINUTES looks until it is there)\n", first,
			k->domain);
	return missing ? 1 : 0;
}

static int
begin_rotation(struct keyring *k, bool waits)
{
	int code = make_keys(k);

	if (code)
		return code;
	if (!k->cli->json)
		printf("New keys of %s, not in use yet. Publish:\n\n",
			k->domain);
	code = print_records(k, is_waiting);
	if (!code && !waits && !k->cli->json)
		printf("\nThen `mailroom dkim rotate %s` again.\n", k->domain);
	return code;
}

static int
finish_rotation(struct keyring *k)
{
	size_t i;

	if (switch_keys(k))
		return 1;
	if (k->cli->json)
		return print_records(k, is_published);
	printf("The new keys of %s sign from now on. In %d days `mailroom "
		"dkim retire %s` and take out of DNS:\n", k->domain,
		PAST_DAYS, k->domain);
	for (i = 0; i < k->n; i++)
		if (k->key[i].state == DKIM_PAST)
			printf("  %s\n", k->key[i].name);
	return 0;
}

static int
run_rotate(struct cli *c, int argc, char **argv)
{
	bool waits = argc == 3 && !strcmp(argv[1], "--wait");
	struct keyring k;
	int64_t minutes = waits ? strtoll(argv[2], NULL, 10) : 0;
	int code;

	if (argc > 1 && (!waits || minutes < 1))
		return cli_usage(c, "--wait takes minutes");
	code = open_keyring(&k, c, argv[0]);
	if (!code && !count(&k, DKIM_WAITING)) {
		code = begin_rotation(&k, waits);
		if (code || !waits)
			goto out;
	}
	if (!code)
		code = wait_for_dns(&k, minutes);
	if (!code)
		code = finish_rotation(&k);
out:
	arena_free(&k.a);
	return code;
}

/* ------------------------------------------------------------------ retire */

static int
run_retire(struct cli *c, int argc, char **argv)
{
	struct keyring k;
	struct err e = {0};
	int64_t limit = clock_wall() - (int64_t)PAST_DAYS * 86400000;
	int code = open_keyring(&k, c, argv[0]);
	bool now = argc == 2 && !strcmp(argv[1], "--now");
	size_t i, kept = 0, gone = 0;

	if (!code && argc == 2 && !now)
		code = cli_usage(c, "unknown option");
	for (i = 0; i < k.n && !code; i++) {
		if (k.key[i].state != DKIM_PAST)
			continue;
		if (!now && k.key[i].since_ms > limit) {
			kept++;
			continue;
		}
		if (dkim_remove(k.folder, k.domain, k.key[i].selector, &e) < 0)
			code = cli_fail("removing a key", &e);
		else if (!gone++ && !c->json)
			puts("Take out of DNS:");
		if (!code && !c->json)
			printf("  %s\n", k.key[i].name);
	}
	if (!code && c->json)
		code = cli_print_json(json_pack("{sI sI}", "removed",
			(json_int_t)gone, "kept", (json_int_t)kept));
	else if (!code && kept)
		printf("%zu keys were in use less than %d days ago and stay: "
			"mail that they signed may be under way\n", kept,
			PAST_DAYS);
	arena_free(&k.a);
	return code;
}

const struct cli_verb cli_dkim_verbs[] = {
	{"dkim", "new", 1, 1, run_new, "DOMAIN",
		"make the first keys of a domain, and sign"},
	{"dkim", "list", 0, 0, run_list, "", "keys and what they are for"},
	{"dkim", "show", 1, 1, run_show, "DOMAIN", "records to publish"},
	{"dkim", "rotate", 1, 3, run_rotate, "DOMAIN [--wait MINUTES]",
		"new keys, in use once DNS shows them"},
	{"dkim", "retire", 1, 2, run_retire, "DOMAIN [--now]",
		"remove keys that signed long ago"},
	{NULL},
};
