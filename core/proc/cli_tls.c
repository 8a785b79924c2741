/*
 * cli_tls.c - mailroom tls: what other servers' TLS was like, by what it is
 * judged, and how to forget it.
 */
#include "proc/cli.h"

#include "base/clock.h"
#include "queue/sts.h"
#include "queue/tls_known.h"

struct showing {
	struct cli *cli;
	json_t *list;
};

/* "LEVEL SINCE_MS" of tls_known.c */
static int
take_level(void *arg, const char *domain, struct mr_str value)
{
	struct showing *s = arg;
	struct str text = str_of(value.at, value.len);
	uint64_t level = 0, noted = 0;

	str_u64(str_cut(&text, ' '), TLS_LEVEL_VERIFIED, &level);
	str_u64(text, INT64_MAX, &noted);
	json_array_append_new(s->list, json_pack("{s:s, s:s, s:I}", "domain",
		domain, "level", tls_level_names[level], "noted_ms",
		(json_int_t)noted));
	return 0;
}

/* "ID FETCHED_MS\n" and the policy, of sts.c */
static int
take_policy(void *arg, const char *domain, struct mr_str value)
{
	static const char *const modes[] = {"none", "testing", "enforce"};
	struct showing *s = arg;
	struct str text = str_of(value.at, value.len);
	struct sts_policy p;
	struct arena a;
	json_t *one;
	size_t i;

	arena_init(&a);
	str_cut(&text, '\n');
	if (sts_read_policy(text, &a, &p)) {
		one = json_pack("{s:s, s:s, s:[]}", "domain", domain,
			"mta_sts", modes[p.mode], "mx");
		for (i = 0; i < p.n_mx; i++)
			json_array_append_new(json_object_get(one, "mx"),
				json_stringn(p.mx[i].at, p.mx[i].len));
		json_array_append_new(s->list, one);
	}
	arena_free(&a);
	return 0;
}

static int
walk(struct cli *c, const char *space, const char *prefix,
	int (*each)(void *arg, const char *key, struct mr_str value),
	json_t *list)
{
	struct showing s = {c, list};
	struct mr_error me = {{0}};
	int code = c->store.op->state_list(c->store.self, space, prefix,
		clock_wall(), each, &s, &me);

	return code == MR_STORE_OK ? 0 : cli_fail_store("tls", code, &me);
}

static void
print_one(const json_t *one)
{
	const char *mode = json_string_value(json_object_get(one, "mta_sts"));
	char when[32];
	size_t i;

	printf("%-30s ", json_string_value(json_object_get(one, "domain")));
	if (!mode) {
		cli_when(json_integer_value(json_object_get(one, "noted_ms")),
			when);
		printf("%s, %s\n", json_string_value(json_object_get(one,
			"level")), when);
		return;
	}
	printf("MTA-STS %s:", mode);
	for (i = 0; i < json_array_size(json_object_get(one, "mx")); i++)
		printf(" %s", json_string_value(json_array_get(
			json_object_get(one, "mx"), i)));
	puts("");
}

static int
tls_show(struct cli *c, int argc, char **argv)
{
	const char *domain = "";
	json_t *list;
	size_t i;
	int code = cli_need_state(c);

	if (code)
		return code;
	if (argc)
		domain = cli_address(c, argv[0]);
	list = json_array();
	code = walk(c, TLS_SPACE, domain, take_level, list);
	if (code == 0)
		code = walk(c, STS_SPACE, domain, take_policy, list);
	if (code == 0 && c->json)
		return cli_print_json(list);
	for (i = 0; i < json_array_size(list) && code == 0; i++)
		print_one(json_array_get(list, i));
	if (code == 0 && !json_array_size(list))
		puts("nothing is known yet");
	json_decref(list);
	return code;
}

static int
tls_forget(struct cli *c, int argc, char **argv)
{
	static const char *const spaces[] = {TLS_SPACE, STS_SPACE};
	struct mr_error me = {{0}};
	const char *domain;
	int code = cli_need_state(c);
	size_t i;

	(void)argc;
	if (code)
		return code;
	domain = cli_address(c, argv[0]);
	for (i = 0; i < 2; i++) {	/* expired at once */
		code = c->store.op->state_set(c->store.self, spaces[i], domain,
			(struct mr_str){"", 0}, 1, &me);
		if (code != MR_STORE_OK)
			return cli_fail_store("tls forget", code, &me);
	}
	if (c->json)
		return cli_print_json(json_pack("{s:s}", "forgotten", domain));
	printf("%s is forgotten: its next mail goes by what it offers then\n",
		domain);
	return 0;
}

const struct cli_verb cli_tls_verbs[] = {
	{"tls", "show", 0, 1, tls_show, "[DOMAIN]",
		"how well other servers encrypt, and their MTA-STS policies"},
	{"tls", "forget", 1, 1, tls_forget, "DOMAIN",
		"let a domain be as bad as it is now"},
	{.group = NULL},
};
