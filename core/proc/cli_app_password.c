/*
 * cli_app_password.c - mailroom app-password: passwords for one program each.
 *
 * A lost phone then costs one line here and no new password everywhere else.
 * They are made, never chosen, and shown once.
 */
#include "proc/cli.h"

#include "base/clock.h"
#include "base/enc.h"

#define GROUPS 5
#define GROUP 4

static int
need_app_passwords(struct cli *c)
{
	int code = cli_need_store(c);

	if (code)
		return code;
	if (MR_HAS(c->store.op, app_password_list) &&
		c->store.op->app_password_list)
		return 0;
	fputs("mailroom: the store plugin knows no app passwords\n", stderr);
	return 1;
}

/* "abcd-efgh-...": easy to copy from a screen to a phone. */
static void
make_password(char out[GROUPS * (GROUP + 1)])
{
	char word[GROUPS * GROUP + 1];
	int i;

	enc_random_word(word, GROUPS * GROUP);
	for (i = 0; i < GROUPS; i++) {
		memcpy(out + i * (GROUP + 1), word + i * GROUP, GROUP);
		out[i * (GROUP + 1) + GROUP] = i < GROUPS - 1 ? '-' : '\0';
	}
	explicit_bzero(word, sizeof word);
}

/* What people call it, as the store does: submission is smtp. */
static const char *
read_scopes(struct cli *c, const char *text)
{
	struct str rest = str_from(text), word;
	const char *out = "";

	while ((word = str_trim_blank(str_cut(&rest, ','))).len) {
		if (str_iis(word, "submission"))
			word = STR("smtp");
		out = arena_printf(&c->config->arena, "%s%s%.*s", out,
			*out ? "," : "", STR_ARGS(word));
	}
	return out;
}

static int
add(struct cli *c, int argc, char **argv)
{
	char password[GROUPS * (GROUP + 1)];
	struct mr_error me = {{0}};
	const char *account, *scopes = "imap,pop3,smtp";
	int code = need_app_passwords(c);

	if (argc == 4 && strcmp(argv[2], "--for"))
		return cli_usage(c, "an unknown option");
	if (argc == 3)
		return cli_usage(c, "--for what?");
	if (code)
		return code;
	if (argc == 4)
		scopes = read_scopes(c, argv[3]);
	account = cli_address(c, argv[0]);
	make_password(password);
	code = c->store.op->app_password_add(c->store.self, account, argv[1],
		scopes, password, &me);
	if (code)
		return cli_fail_store("app-password add", code, &me);
	if (c->json)
		code = cli_print_json(json_pack("{s:s, s:s, s:s, s:s}",
			"account", account, "name", argv[1], "scopes", scopes,
			"password", password));
	else
		printf("The password of %s for `%s` (%s) is\n\n    %s\n\n"
			"It is not shown again. Hyphens may be left out.\n",
			account, argv[1], scopes, password);
	explicit_bzero(password, sizeof password);
	return code;
}

static int
drop(struct cli *c, int argc, char **argv)
{
	struct mr_error me = {{0}};
	int code = need_app_passwords(c);

	(void)argc;
	if (code)
		return code;
	code = c->store.op->app_password_remove(c->store.self,
		cli_address(c, argv[0]), argv[1], &me);
	if (code)
		return cli_fail_store("app-password remove", code, &me);
	if (c->json)
		return cli_print_json(json_pack("{s:s}", "removed", argv[1]));
	printf("%s: what logs in as `%s` is locked out\n", argv[0], argv[1]);
	return 0;
}

static int
show(void *arg, const struct mr_app_password *p)
{
	json_t *list = arg;
	char made[32], used[32] = "never used";

	if (list) {
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I,"
			" s:I}", "account", p->account, "name", p->name,
			"scopes", p->scopes, "created_ms",
			(json_int_t)p->created_ms, "used_ms",
			(json_int_t)p->used_ms));
		return 0;
	}
	cli_when(p->created_ms, made);
	if (p->used_ms)
		cli_when(p->used_ms, used);
	printf("%-30s %-16s %-16s made %s, %s%s\n", p->account, p->name,
		p->scopes, made, p->used_ms ? "used " : "", used);
	return 0;
}

static int
list_all(struct cli *c, int argc, char **argv)
{
	json_t *list = c->json ? json_array() : NULL;
	struct mr_error me = {{0}};
	int code = need_app_passwords(c);

	if (!code)
		code = c->store.op->app_password_list(c->store.self, argc ?
			cli_address(c, argv[0]) : NULL, show, list, &me);
	if (code) {
		json_decref(list);
		return *me.text ? cli_fail_store("app-password list", code,
			&me) : code;
	}
	return list ? cli_print_json(list) : 0;
}

const struct cli_verb cli_app_password_verbs[] = {
	{"app-password", "add", 2, 4, add,
		"ACCOUNT NAME [--for imap,pop3,submission]",
		"make a password for one program"},
	{"app-password", "remove", 2, 2, drop, "ACCOUNT NAME",
		"lock that program out"},
	{"app-password", "list", 0, 1, list_all, "[ACCOUNT]",
		"which there are, and when each was used"},
	{.group = NULL},
};
