/*
 * cli_mailbox.c - mailroom mailbox: who may use a mailbox of another.
 *
 * What owners do over IMAP (SETACL), for the administrator.
 */
#include "proc/cli.h"

#include "serve/imap_acl.h"

static int
need_rights(struct cli *c)
{
	int code = cli_need_store(c);

	if (code)
		return code;
	if (MR_HAS(c->store.op, acl_shared) && c->store.op->acl_set)
		return 0;
	fputs("mailroom: the store plugin keeps no rights\n", stderr);
	return 1;
}

/* "anyone", an account, or one of these behind "-". */
static const char *
identifier_of(struct cli *c, const char *text)
{
	bool takes = text[0] == '-';

	return arena_printf(&c->config->arena, "%s%s", takes ? "-" : "",
		cli_address(c, text + takes));
}

static int
share(struct cli *c, int argc, char **argv)
{
	const char *owner, *identifier;
	struct mr_error me = {{0}};
	struct mr_mailbox m;
	uint32_t rights = 0;
	int code;

	(void)argc;
	if (strcmp(argv[3], "none") && (!imap_rights_in(str_from(argv[3]),
		&rights) || !rights))
		return cli_usage(c, "rights are letters of lrswipkxtea, or "
			"none");
	code = need_rights(c);
	if (code)
		return code;
	owner = cli_address(c, argv[0]);
	identifier = identifier_of(c, argv[2]);
	if (!strcmp(owner, identifier)) {
		fputs("mailroom: the owner always has all rights\n", stderr);
		return 1;
	}
	code = c->store.op->mailbox_find(c->store.self, owner, argv[1], &m,
		&me);
	if (!code)
		code = c->store.op->acl_set(c->store.self, m.id, identifier,
			MR_FLAGS_SET, rights, &me);
	if (code)
		return cli_fail_store("mailbox share", code, &me);
	if (c->json)
		return cli_print_json(json_pack("{s:s, s:s, s:s, s:s}",
			"owner", owner, "mailbox", argv[1], "identifier",
			identifier, "rights", rights ? argv[3] : ""));
	printf("%s of %s: %s has %s\n", argv[1], owner, identifier,
		rights ? argv[3] : "no rights");
	return 0;
}

static int
show(void *arg, const char *identifier, uint32_t rights)
{
	char room[IMAP_RIGHTS_ROOM];
	json_t *list = arg;

	imap_rights_out(rights, room);
	if (list)
		json_array_append_new(list, json_pack("{s:s, s:s}",
			"identifier", identifier, "rights", room));
	else
		printf("%-40s %s\n", identifier, room);
	return 0;
}

static int
list_rights(struct cli *c, int argc, char **argv)
{
	json_t *list = c->json ? json_array() : NULL;
	struct mr_error me = {{0}};
	struct mr_mailbox m;
	int code = need_rights(c);

	(void)argc;
	if (!code)
		code = c->store.op->mailbox_find(c->store.self,
			cli_address(c, argv[0]), argv[1], &m, &me);
	if (!code)
		code = c->store.op->acl_list(c->store.self, m.id, show, list,
			&me);
	if (code) {
		json_decref(list);
		return *me.text ? cli_fail_store("mailbox rights", code, &me) :
			code;
	}
	return list ? cli_print_json(list) : 0;
}

const struct cli_verb cli_mailbox_verbs[] = {
	{"mailbox", "share", 4, 4, share, "OWNER MAILBOX ACCOUNT|anyone "
		"RIGHTS|none", "let others use a mailbox (docs/sharing.md)"},
	{"mailbox", "rights", 2, 2, list_rights, "OWNER MAILBOX",
		"who may do what in it"},
	{.group = NULL},
};
