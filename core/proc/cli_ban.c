/*
 * cli_ban.c - mailroom ban: who is kept outside for wrong passwords.
 */
#include "proc/cli.h"

#include "base/clock.h"
#include "net/limit.h"
#include "serve/guard.h"

/* "SINCE_MS REASON" */
static int
take_ban(void *arg, const char *peer, struct mr_str value)
{
	struct str text = str_of(value.at, value.len);
	json_t *list = arg;
	uint64_t since = 0;

	str_u64(str_cut(&text, ' '), INT64_MAX, &since);
	json_array_append_new(list, json_pack("{s:s, s:I, s:s%}", "peer", peer,
		"since_ms", (json_int_t)since, "reason", text.at, text.len));
	return 0;
}

static int
ban_list(struct cli *c, int argc, char **argv)
{
	json_t *list = json_array();
	struct mr_error me = {{0}};
	char when[32];
	size_t i;
	int code = cli_need_state(c);

	(void)argc;
	(void)argv;
	if (!code)
		code = c->store.op->state_list(c->store.self, GUARD_BANS, "",
			clock_wall(), take_ban, list, &me);
	if (code) {
		json_decref(list);
		return *me.text ? cli_fail_store("ban list", code, &me) : code;
	}
	if (c->json)
		return cli_print_json(list);
	for (i = 0; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);

		cli_when(json_integer_value(json_object_get(one, "since_ms")),
			when);
		printf("%-30s %s, %s\n", json_string_value(json_object_get(
			one, "peer")), json_string_value(json_object_get(one,
			"reason")), when);
	}
	if (!i)
		puts("nobody is banned");
	json_decref(list);
	return 0;
}

/* The key under which an address is banned. */
static int
read_peer(struct cli *c, const char *text, char key[SOCK_TEXT])
{
	struct sock_addr a;
	const char *full = arena_printf(&c->config->arena, strchr(text, ':') ?
		"[%s]:1" : "%s:1", text);

	if (sock_parse(str_from(full), &a, NULL) < 0)
		return cli_usage(c, "an IP address is needed");
	limit_peer_key(&a, key);
	return 0;
}

static int
set_ban(struct cli *c, const char *peer, const char *reason, int64_t until)
{
	struct mr_error me = {{0}};
	char value[200];
	int n = snprintf(value, sizeof value, "%lld %.150s",
		(long long)clock_wall(), reason);
	int code = c->store.op->state_set(c->store.self, GUARD_BANS, peer,
		(struct mr_str){value, (size_t)n}, until, &me);

	return code ? cli_fail_store("ban", code, &me) : 0;
}

static int
ban_add(struct cli *c, int argc, char **argv)
{
	char peer[SOCK_TEXT];
	int code = cli_need_state(c);

	(void)argc;
	if (!code)
		code = read_peer(c, argv[0], peer);
	if (!code)
		code = set_ban(c, peer, "by the administrator", clock_wall() +
			c->config->limits.ban_time);
	if (!code && c->json)
		return cli_print_json(json_pack("{s:s}", "banned", peer));
	if (!code)
		printf("%s is banned\n", peer);
	return code;
}

static int
ban_remove(struct cli *c, int argc, char **argv)
{
	char peer[SOCK_TEXT];
	int code = cli_need_state(c);

	(void)argc;
	if (!code)
		code = read_peer(c, argv[0], peer);
	if (!code)
		code = set_ban(c, peer, "", 1);		/* expired */
	if (!code && c->json)
		return cli_print_json(json_pack("{s:s}", "removed", peer));
	if (!code)
		printf("%s may come again\n", peer);
	return code;
}

const struct cli_verb cli_ban_verbs[] = {
	{"ban", "list", 0, 0, ban_list, "",
		"addresses that tried too many passwords"},
	{"ban", "add", 1, 1, ban_add, "ADDRESS", "keep an address out"},
	{"ban", "remove", 1, 1, ban_remove, "ADDRESS",
		"let an address in again, within seconds"},
	{.group = NULL},
};
