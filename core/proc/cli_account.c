/*
 * cli_account.c - mailroom account, domain, alias.
 */
#include "proc/cli.h"

#include <errno.h>
#include <termios.h>

#include "base/enc.h"
#include "mail/addr.h"

#define PASSWORD_MAX 512

/* ------------------------------------------------------------ passwords */

static int
read_line(FILE *from, char *out, size_t size)
{
	size_t n;

	if (!fgets(out, (int)size, from))
		return -1;
	n = strcspn(out, "\r\n");
	if (!out[n] && n + 1 == size)
		return -1;
	out[n] = '\0';
	return 0;
}

static int
ask_terminal(char *out, size_t size)
{
	struct termios old, quiet;
	char again[PASSWORD_MAX];
	int code = -1;

	if (tcgetattr(0, &old) < 0)
		return -1;
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(0, TCSAFLUSH, &quiet);
	fputs("Password: ", stderr);
	if (read_line(stdin, out, size) == 0) {
		fputs("\nOnce more: ", stderr);
		if (read_line(stdin, again, sizeof again) == 0)
			code = strcmp(out, again) ? -2 : 0;
	}
	fputs("\n", stderr);
	tcsetattr(0, TCSAFLUSH, &old);
	explicit_bzero(again, sizeof again);
	return code;
}

/* From --password-stdin, --generate or the terminal. 0, or an exit status
 * with the reason printed. */
static int
get_password(struct cli *c, int argc, char **argv, char *out, bool *generated)
{
	int code;

	*generated = false;
	if (argc == 2 && !strcmp(argv[1], "--password-stdin")) {
		if (read_line(stdin, out, PASSWORD_MAX) < 0)
			return cli_usage(c, "no password (of at most 510 "
				"bytes) on standard input");
	} else if (argc == 2 && !strcmp(argv[1], "--generate")) {
		enc_random_word(out, 20);
		*generated = true;
	} else if (argc == 2) {
		return cli_usage(c, "unknown option");
	} else if (!isatty(0)) {
		return cli_usage(c, "give --password-stdin or --generate");
	} else if ((code = ask_terminal(out, PASSWORD_MAX)) < 0) {
		fputs(code == -2 ? "mailroom: the two differ\n" :
			"mailroom: no password\n", stderr);
		return 1;
	}
	if (!*out)
		return cli_usage(c, "the password is empty");
	return 0;
}

static int
report_password(struct cli *c, const char *account, const char *done,
	const char *password, bool generated)
{
	if (c->json)
		return cli_print_json(generated ?
			json_pack("{s:s, s:s}", "account", account,
				"password", password) :
			json_pack("{s:s}", "account", account));
	printf("%s %s\n", account, done);
	if (generated)
		printf("password: %s\n", password);
	return 0;
}

static int
account_add(struct cli *c, int argc, char **argv)
{
	char password[PASSWORD_MAX];
	struct mr_error me = {{0}};
	struct addr a;
	bool generated;
	int code;

	if (!addr_parse(str_from(argv[0]), &a))
		return cli_usage(c, "an account is named by its address, "
			"user@domain");
	code = get_password(c, argc, argv, password, &generated);
	if (code || (code = cli_need_store(c)))
		return code;
	code = c->store.op->account_add(c->store.self,
		cli_address(c, argv[0]), password, &me);
	if (code == MR_STORE_MISSING) {
		fprintf(stderr, "mailroom: %.*s is no domain of this server. "
			"Add it: mailroom domain add %.*s\n",
			STR_ARGS(a.domain), STR_ARGS(a.domain));
		return 1;
	}
	if (code)
		return cli_fail_store("account add", code, &me);
	code = report_password(c, argv[0], "added", password, generated);
	explicit_bzero(password, sizeof password);
	return code;
}

static int
account_passwd(struct cli *c, int argc, char **argv)
{
	char password[PASSWORD_MAX];
	struct mr_error me = {{0}};
	bool generated;
	int code = get_password(c, argc, argv, password, &generated);

	if (code || (code = cli_need_store(c)))
		return code;
	code = c->store.op->account_set(c->store.self,
		cli_address(c, argv[0]), password, -1,
		-1, &me);
	if (code)
		return cli_fail_store("account passwd", code, &me);
	code = report_password(c, argv[0], "has a new password", password,
		generated);
	explicit_bzero(password, sizeof password);
	return code;
}

/* ------------------------------------------------------------ one change */

static int
say_done(struct cli *c, const char *key, const char *value, const char *done)
{
	if (c->json)
		return cli_print_json(json_pack("{s:s}", key, value));
	printf("%s %s\n", value, done);
	return 0;
}

struct account_change {		/* -1: stays as it is */
	int64_t quota, messages;
	int disabled;
};

/* One option of `account set`. */
static bool
take_option(const char *option, const char *value, struct account_change *to)
{
	bool is_count = !strcmp(option, "--messages");
	int64_t *limit = is_count ? &to->messages : &to->quota;
	uint64_t number;

	if (!strcmp(option, "--disable") || !strcmp(option, "--enable")) {
		to->disabled = !strcmp(option, "--disable");
		return true;
	}
	if ((!is_count && strcmp(option, "--quota")) || !value)
		return false;
	*limit = 0;
	if (!strcmp(value, "none") ||
		(!is_count && conf_parse_size(str_from(value), limit)))
		return true;
	if (!str_u64(str_from(value), INT64_MAX, &number))
		return false;
	*limit = (int64_t)number;
	return true;
}

static int
change_account(struct cli *c, const char *name, const struct account_change *to,
	struct mr_error *me)
{
	const struct mr_store *op = c->store.op;
	int code = MR_STORE_OK;

	if (to->messages >= 0 && (!MR_HAS(op, quota_set) || !op->quota_set)) {
		snprintf(me->text, sizeof me->text,
			"the store plugin counts no messages");
		return MR_STORE_INVALID;
	}
	if (to->quota >= 0 || to->disabled >= 0)
		code = op->account_set(c->store.self, name, NULL, to->quota,
			to->disabled, me);
	if (code == MR_STORE_OK && to->messages >= 0)
		code = op->quota_set(c->store.self, name, to->messages, me);
	return code;
}

static int
account_set(struct cli *c, int argc, char **argv)
{
	struct mr_error me = {{0}};
	struct account_change to = {-1, -1, -1};
	int i, code;

	for (i = 1; i < argc; i++) {
		if (!take_option(argv[i], i + 1 < argc ? argv[i + 1] : NULL,
			&to))
			return cli_usage(c, "options are --quota SIZE (\"5 GB\" "
				"or none), --messages N (or none), --disable, "
				"--enable");
		i += !strcmp(argv[i], "--quota") ||
			!strcmp(argv[i], "--messages");
	}
	if ((code = cli_need_store(c)))
		return code;
	code = change_account(c, cli_address(c, argv[0]), &to, &me);
	if (code)
		return cli_fail_store("account set", code, &me);
	if (c->json)
		return cli_print_json(json_pack("{s:s}", "account", argv[0]));
	printf("%s changed\n", argv[0]);
	return 0;
}

static int
account_remove(struct cli *c, int argc, char **argv)
{
	struct mr_error me = {{0}};
	int code = cli_need_store(c);

	(void)argc;
	if (code)
		return code;
	code = c->store.op->account_remove(c->store.self,
		cli_address(c, argv[0]), &me);
	return code ? cli_fail_store("account remove", code, &me) :
		say_done(c, "removed", argv[0], "removed, with all its mail");
}

static int
domain_add(struct cli *c, int argc, char **argv)
{
	struct mr_error me = {{0}};
	int code;

	(void)argc;
	if (!addr_is_domain(str_from(argv[0]), true) ||
		addr_is_literal(str_from(argv[0])))
		return cli_usage(c, "not a domain name");
	if ((code = cli_need_store(c)))
		return code;
	code = c->store.op->domain_add(c->store.self, cli_address(c, argv[0]),
		&me);
	return code ? cli_fail_store("domain add", code, &me) :
		say_done(c, "domain", argv[0], "added");
}

/* "--list" and "--owner ADDRESS" out of the arguments; returns how many are
 * left, -1: wrong. */
static int
take_list_options(int argc, char **argv, bool *is_list, const char **owner)
{
	int i, kept = 0;

	*is_list = false;
	*owner = NULL;
	for (i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--list"))
			*is_list = true;
		else if (!strcmp(argv[i], "--owner") && i + 1 < argc)
			*owner = argv[++i];
		else
			argv[kept++] = argv[i];
	}
	return *owner && !*is_list ? -1 : kept;
}

/* Bounces of a list nobody has put in charge of go to postmaster. */
static int
make_list(struct cli *c, const char *address, const char *owner)
{
	const struct mr_store *op = c->store.op;
	const char *at = strrchr(address, '@');
	struct mr_error me = {{0}};
	char fallback[ADDR_MAX + 20];
	int code;

	if (!MR_HAS(op, list_set) || !op->list_set) {
		fputs("mailroom: the store plugin knows no lists\n", stderr);
		return 1;
	}
	snprintf(fallback, sizeof fallback, "postmaster%s", at ? at : "");
	code = op->list_set(c->store.self, address, owner ? owner : fallback,
		&me);
	return code ? cli_fail_store("alias add --list", code, &me) : 0;
}

static int
alias_add(struct cli *c, int argc, char **argv)
{
	struct mr_error me = {{0}};
	const char *owner;
	bool is_list;
	int code;

	if (take_list_options(argc, argv, &is_list, &owner) != 2)
		return cli_usage(c, "an address, and where it leads");
	if ((code = cli_need_store(c)))
		return code;
	code = c->store.op->alias_add(c->store.self, cli_address(c, argv[0]),
		cli_address(c, argv[1]), &me);
	if (code && !(is_list && code == MR_STORE_EXISTS))
		return cli_fail_store("alias add", code, &me);
	if (is_list && make_list(c, cli_address(c, argv[0]), owner))
		return 1;
	return say_done(c, "alias", argv[0], "added");
}

static int
alias_remove(struct cli *c, int argc, char **argv)
{
	struct mr_error me = {{0}};
	int code = cli_need_store(c);

	(void)argc;
	if (code)
		return code;
	code = c->store.op->alias_remove(c->store.self, cli_address(c, argv[0]),
		cli_address(c, argv[1]), &me);
	return code ? cli_fail_store("alias remove", code, &me) :
		say_done(c, "removed", argv[0], "removed");
}

/* ---------------------------------------------------------------- lists */

/* Ends a listing: what the walk returned, and its JSON if there is one. */
static int
end_list(struct cli *c, const char *what, int code, const struct mr_error *me,
	json_t *list)
{
	if (code)
		return cli_fail_store(what, code, me);
	return c->json ? cli_print_json(list) : 0;
}

static int
show_account(void *arg, const struct mr_account *a)
{
	json_t *list = arg;

	if (!list) {
		char used[32], quota[32] = "no limit", bound[40] = "";

		cli_size(a->bytes, used);
		if (a->quota)
			cli_size(a->quota, quota);
		if (a->message_quota)
			snprintf(bound, sizeof bound, ", %llu messages",
				(unsigned long long)a->message_quota);
		printf("%-40s %8u messages %10s of %s%s%s\n", a->name,
			a->messages, used, quota, bound,
			a->disabled ? "  (disabled)" : "");
		return 0;
	}
	json_array_append_new(list, json_pack(
		"{s:s, s:I, s:I, s:I, s:I, s:b}", "account", a->name,
		"messages", (json_int_t)a->messages,
		"bytes", (json_int_t)a->bytes,
		"quota", (json_int_t)a->quota, "message_quota",
		(json_int_t)a->message_quota, "disabled", a->disabled));
	return 0;
}

static int
account_list(struct cli *c, int argc, char **argv)
{
	json_t *list = c->json ? json_array() : NULL;
	struct mr_error me = {{0}};

	(void)argc;
	(void)argv;
	if (cli_need_store(c))
		return 1;
	return end_list(c, "account list", c->store.op->account_list(
		c->store.self, show_account, list, &me), &me, list);
}

static int
show_domain(void *arg, const char *domain)
{
	if (arg)
		json_array_append_new(arg, json_string(domain));
	else
		puts(domain);
	return 0;
}

static int
domain_list(struct cli *c, int argc, char **argv)
{
	json_t *list = c->json ? json_array() : NULL;
	struct mr_error me = {{0}};

	(void)argc;
	(void)argv;
	if (cli_need_store(c))
		return 1;
	return end_list(c, "domain list", c->store.op->domain_list(
		c->store.self, show_domain, list, &me), &me, list);
}

struct aliases {
	json_t *list;		/* NULL: for people */
	json_t *owners;		/* address: owner, of lists */
};

static int
take_owner(void *arg, const struct mr_mailing_list *l)
{
	json_object_set_new(arg, l->address, json_string(l->owner));
	return 0;
}

static int
show_alias(void *arg, const struct mr_alias *a)
{
	const struct aliases *all = arg;
	const char *owner = json_string_value(json_object_get(all->owners,
		a->address));

	if (all->list)
		json_array_append_new(all->list, json_pack("{s:s, s:s, s:s?}",
			"alias", a->address, "target", a->target,
			"list_owner", owner));
	else
		printf("%-40s -> %s%s%s%s\n", a->address, a->target,
			owner ? "  (list of " : "", owner ? owner : "",
			owner ? ")" : "");
	return 0;
}

static int
alias_list(struct cli *c, int argc, char **argv)
{
	struct aliases all = {.list = c->json ? json_array() : NULL,
		.owners = json_object()};
	const struct mr_store *op;
	struct mr_error me = {{0}};
	int code = 0;

	(void)argc;
	(void)argv;
	if (cli_need_store(c))
		return 1;
	op = c->store.op;
	if (MR_HAS(op, list_list) && op->list_list)
		code = op->list_list(c->store.self, take_owner, all.owners,
			&me);
	if (!code)
		code = op->alias_list(c->store.self, show_alias, &all, &me);
	json_decref(all.owners);
	return end_list(c, "alias list", code, &me, all.list);
}

const struct cli_verb cli_account_verbs[] = {
	{"account", "add", 1, 2, account_add,
		"ADDRESS [--password-stdin|--generate]", "make an account"},
	{"account", "list", 0, 0, account_list, "", "accounts and their size"},
	{"account", "set", 2, 6, account_set,
		"ADDRESS [--quota SIZE|none] [--messages N|none] "
		"[--disable|--enable]",
		"bound an account's mail, or keep it from use"},
	{"account", "passwd", 1, 2, account_passwd,
		"ADDRESS [--password-stdin|--generate]", "set a password"},
	{"account", "remove", 1, 1, account_remove, "ADDRESS",
		"remove an account and all its mail"},
	{"domain", "add", 1, 1, domain_add, "DOMAIN",
		"receive mail for a domain"},
	{"domain", "list", 0, 0, domain_list, "", "domains of this server"},
	{"alias", "add", 2, 5, alias_add,
		"[--list [--owner ADDRESS]] ADDRESS TARGET",
		"lead an address (or @domain) to an account or elsewhere"},
	{"alias", "remove", 2, 2, alias_remove, "ADDRESS TARGET",
		"remove an alias"},
	{"alias", "list", 0, 0, alias_list, "", "aliases"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
