/*
 * cli_backup.c - mailroom backup and restore: the store's states in a folder,
 * and mail out of one of them back into the store, while the server runs.
 */
#include "proc/cli.h"

#include "base/clock.h"
#include "base/enc.h"
#include "move/restore.h"
#include "proc/priv.h"

static int
need_backup(struct cli *c)
{
	int code = cli_need_store(c);

	if (code)
		return code;
	if (MR_HAS(c->store.op, backup_close) && c->store.op->backup_close)
		return 0;
	fputs("mailroom: the store plugin makes no backups\n", stderr);
	return 1;
}

/* The store wants a path that holds wherever it is used. */
static const char *
whole_path(struct cli *c, const char *path)
{
	char *here = *path == '/' ? NULL : getcwd(NULL, 0);
	const char *out = here ? arena_printf(&c->config->arena, "%s/%s",
		here, path) : path;

	free(here);
	return out;
}

/* ---------------------------------------------------------------- backup */

struct watch {
	bool is_shown;
	int64_t shown_ms;
	uint64_t damaged;
};

static void
show(void *arg, uint64_t done, uint64_t total)
{
	struct watch *w = arg;
	char a[32], b[32];

	if (!w->is_shown || clock_mono_rough() - w->shown_ms < 1000)
		return;
	w->shown_ms = clock_mono_rough();
	cli_size(done, a);
	cli_size(total, b);
	fprintf(stderr, "\r%s of %s\033[K", a, b);
}

static void
note_damage(void *arg, int64_t message_id)
{
	struct watch *w = arg;

	w->damaged++;
	fprintf(stderr, "mailroom: message %lld is damaged in the store; it "
		"is in the backup as it is\n", (long long)message_id);
}

static int
backup(struct cli *c, int argc, char **argv)
{
	struct watch w = {.is_shown = !c->json && isatty(STDERR_FILENO) == 1};
	struct mr_backup b = {.size = sizeof b, .progress = show,
		.damaged = note_damage, .arg = &w};
	struct mr_error me = {{0}};
	char whole[32], written[32];
	uint64_t keep = 0;
	int code;

	if (argc == 2 || (argc == 3 && (strcmp(argv[1], "--keep") ||
		!str_u64(str_from(argv[2]), 1000000, &keep) || !keep)))
		return cli_usage(c, "--keep how many states?");
	b.keep = (uint32_t)keep;
	c->makes = argv[0];
	code = need_backup(c);
	if (code)
		return code;
	priv_raise_files();
	b.path = whole_path(c, argv[0]);
	code = c->store.op->backup(c->store.self, &b, &me);
	if (w.is_shown)
		fputs("\r\033[K", stderr);
	if (code)
		return cli_fail_store("backup", code, &me);
	if (c->json)
		return cli_print_json(json_pack("{s:s, s:I, s:I, s:I, s:I}",
			"state", b.state, "messages", (json_int_t)b.messages,
			"bytes", (json_int_t)b.bytes, "written",
			(json_int_t)b.written, "damaged",
			(json_int_t)w.damaged)) || w.damaged;
	cli_size(b.bytes, whole);
	cli_size(b.written, written);
	printf("state %s: %llu messages, %s, of which %s are new in %s\n",
		b.state, (unsigned long long)b.messages, whole, written,
		argv[0]);
	return w.damaged ? 1 : 0;
}

struct states {
	struct cli *c;
	json_t *list;
	int64_t at_ms;		/* the newest not behind this */
	char chosen[64];
};

static int64_t
time_of_state(const char *state)
{
	char text[64];
	int64_t ms;

	snprintf(text, sizeof text, "%s", state);
	if (strlen(text) == 20)
		text[13] = text[16] = ':';
	return clock_parse_iso(str_from(text), &ms) ? ms : 0;
}

static int
list_state(void *arg, const char *state)
{
	struct states *s = arg;
	char when[32];

	if (s->list) {
		json_array_append_new(s->list, json_string(state));
		return 0;
	}
	cli_when(time_of_state(state), when);
	printf("%s   %s\n", state, when);
	return 0;
}

static int
backup_list(struct cli *c, int argc, char **argv)
{
	struct states s = {.c = c, .list = c->json ? json_array() : NULL};
	struct mr_error me = {{0}};
	int code = need_backup(c);

	(void)argc;
	if (!code)
		code = c->store.op->backup_list(c->store.self,
			whole_path(c, argv[0]), list_state, &s, &me);
	if (code) {
		json_decref(s.list);
		return *me.text ? cli_fail_store("backup list", code, &me) :
			code;
	}
	return s.list ? cli_print_json(s.list) : 0;
}

/* --------------------------------------------------------------- restore */

struct options {
	const char *path, *account, *message, *at, *into, *whole;
	bool in_place;
};

static bool
read_options(struct cli *c, int argc, char **argv, struct options *o)
{
	const struct {
		const char *name, **value;
	} known[] = {{"--account", &o->account}, {"--message", &o->message},
		{"--at", &o->at}, {"--into", &o->into},
		{"--whole", &o->whole}};
	const size_t n = sizeof known / sizeof *known;
	size_t k;
	int i;

	o->path = argv[0];
	for (i = 1; i < argc; i++) {
		for (k = 0; k < n && strcmp(argv[i], known[k].name); k++)
			;
		if (k < n && i + 1 < argc)
			*known[k].value = argv[++i];
		else if (!strcmp(argv[i], "--in-place"))
			o->in_place = true;
		else
			return cli_usage(c, "an unknown option"), false;
	}
	if (o->in_place && (o->into || o->message))
		return cli_usage(c, "--in-place goes with neither --into nor "
			"--message"), false;
	if (o->whole && (o->in_place || o->into || o->message || o->account))
		return cli_usage(c, "--whole goes with --at only"), false;
	return true;
}

/* "2026-11-25", "2026-11-25 22:15" (both UTC, to their end), the name of a
 * state, or RFC 3339. */
static bool
read_time(const char *text, int64_t *ms)
{
	char whole[64];

	snprintf(whole, sizeof whole, "%s", text);
	if (strlen(whole) == 10)
		snprintf(whole, sizeof whole, "%.10sT23:59:59Z", text);
	else if (strlen(whole) == 16)
		snprintf(whole, sizeof whole, "%.10sT%.5s:59Z", text,
			text + 11);
	*ms = time_of_state(whole);
	return *ms != 0;
}

static int
choose_state(void *arg, const char *state)
{
	struct states *s = arg;

	if (time_of_state(state) <= s->at_ms)
		snprintf(s->chosen, sizeof s->chosen, "%s", state);
	return 0;
}

static int
find_state(struct cli *c, const struct options *o, struct states *s)
{
	struct mr_error me = {{0}};
	int code;

	s->at_ms = INT64_MAX;
	if (o->at && !read_time(o->at, &s->at_ms)) {
		fprintf(stderr, "mailroom: --at %s: write 2026-11-25, "
			"\"2026-11-25 22:15\" (UTC) or the name of a state\n",
			o->at);
		return 2;
	}
	code = c->store.op->backup_list(c->store.self, o->path, choose_state,
		s, &me);
	if (code)
		return cli_fail_store("restore", code, &me);
	if (*s->chosen)
		return 0;
	fprintf(stderr, "mailroom: %s has no state%s%s\n", o->path,
		o->at ? " as old as " : "", o->at ? o->at : "");
	return 1;
}

struct accounts {
	struct cli *c;
	struct restore *r;
	const char **name;
	size_t n;
};

static int
add_account(void *arg, const struct mr_account *a)
{
	struct accounts *all = arg;

	all->name = mem_grow(all->name, (all->n + 1) * sizeof *all->name);
	all->name[all->n++] = arena_cstr(&all->c->config->arena,
		str_from(a->name));
	return 0;
}

/* An account that is gone is made, with a password that nobody knows. */
static int
need_account(struct cli *c, const char *name, struct err *e)
{
	const struct store *s = &c->store;
	struct mr_error me = {{0}};
	struct mr_mailbox m;
	char password[25];
	int code = s->op->mailbox_find(s->self, name, "INBOX", &m, &me);

	if (code != MR_STORE_MISSING)
		return store_result(code, &me, e);
	enc_random_word(password, 24);
	s->op->domain_add(s->self, name + str_find(str_from(name), '@') + 1,
		&me);
	code = s->op->account_add(s->self, name, password, &me);
	if (store_result(code, &me, e) < 0)
		return -1;
	fprintf(stderr, "mailroom: %s was not there and is made; give it a "
		"password: mailroom account passwd %s\n", name, name);
	return 0;
}

static int
restore_accounts(struct cli *c, struct restore *r, const char *only,
	struct err *e)
{
	struct accounts all = {.c = c, .r = r};
	struct mr_error me = {{0}};
	int code;
	size_t i, met = 0;

	code = store_result(r->from.op->account_list(r->from.self,
		add_account, &all, &me), &me, e);
	for (i = 0; i < all.n && code == 0; i++) {
		if (only && strcmp(only, all.name[i]))
			continue;
		met++;
		r->move.account = all.name[i];
		code = need_account(c, all.name[i], e);
		if (code == 0)
			code = restore_account(r, e);
	}
	free(all.name);
	if (code == 0 && !met)
		return err_set(e, ERR_MISSING, "state %s has no account %s",
			r->state, only ? only : "at all");
	return code;
}

static int
report(struct cli *c, const struct restore *r)
{
	const struct progress *p = &r->move.progress;
	char size[32];

	if (c->json)
		return cli_print_json(json_pack(
			"{s:s, s:I, s:I, s:I, s:I, s:s}", "state", r->state,
			"restored", (json_int_t)p->done, "there_already",
			(json_int_t)p->passed, "left_out",
			(json_int_t)p->failed, "bytes", (json_int_t)p->bytes,
			"into", r->into ? r->into : "")) || p->failed;
	cli_size(p->bytes, size);
	printf("%llu messages (%s) restored from state %s into %s%s",
		(unsigned long long)p->done, size, r->state, r->into ?
		"the mailbox " : "the mailboxes where they were", r->into ?
		r->into : "");
	if (p->passed)
		printf("; %llu are there",
			(unsigned long long)p->passed);
	if (p->failed)
		printf("; %llu could not be read (above)",
			(unsigned long long)p->failed);
	puts("");
	return p->failed ? 1 : 0;
}

static int
run_restore(struct cli *c, const struct options *o, struct restore *r)
{
	const char *account = o->account ? cli_address(c, o->account) : NULL;
	struct progress *p = &r->move.progress;
	struct err e = {0};
	int code;

	progress_begin(p, c->json);
	code = o->message ? restore_message(r, account, o->message, &e) :
		restore_accounts(c, r, account, &e);
	progress_end(p);
	if (code == 0 && o->message && !p->done && !p->passed)
		code = err_set(&e, ERR_MISSING, "state %s has no message %s",
			r->state, o->message);
	return code < 0 ? cli_fail("restore", &e) : report(c, r);
}

/* For a machine that lost its store: the state becomes a folder of its own,
 * which is then put in the place of the empty one. */
static int
restore_whole(struct cli *c, const struct options *o, const char *state)
{
	struct mr_error me = {{0}};
	int code;

	if (!MR_HAS(c->store.op, backup_extract) ||
		!c->store.op->backup_extract) {
		fputs("mailroom: the store plugin cannot do that\n", stderr);
		return 1;
	}
	code = c->store.op->backup_extract(c->store.self, o->path, state,
		whole_path(c, o->whole), &me);
	if (code)
		return cli_fail_store("restore", code, &me);
	if (c->json)
		return cli_print_json(json_pack("{s:s, s:s}", "state", state,
			"folder", o->whole));
	printf("state %s is in %s. Stop the server, put this folder in the "
		"place of\nits store, start, and look at `mailroom queue "
		"list`: what waited is held.\n", state, o->whole);
	return 0;
}

static int
restore(struct cli *c, int argc, char **argv)
{
	struct restore r = {.move = {.store = &c->store}};
	struct options o = {NULL};
	struct states s = {.c = c};
	struct mr_error me = {{0}};
	void *other;
	int code;

	if (!read_options(c, argc, argv, &o))
		return 2;
	c->reads_all = true;
	code = need_backup(c);
	if (code)
		return code;
	o.path = whole_path(c, o.path);
	code = find_state(c, &o, &s);
	if (code)
		return code;
	if (o.whole)
		return restore_whole(c, &o, s.chosen);
	r.state = s.chosen;
	r.move.temp = c->config->server.data;
	r.into = o.in_place ? NULL : o.into ? o.into : arena_printf(
		&c->config->arena, "Restored %.10s %.5s", s.chosen,
		s.chosen + 11);
	code = c->store.op->backup_open(c->store.self, o.path, s.chosen,
		r.move.temp, &other, &me);
	if (code)
		return cli_fail_store("restore", code, &me);
	r.from = (struct store){c->store.op, other};
	code = run_restore(c, &o, &r);
	c->store.op->backup_close(other);
	return code;
}

const struct cli_verb cli_backup_verbs[] = {
	{"backup", "list", 1, 1, backup_list, "PATH",
		"the states that a backup holds"},
	{"backup", NULL, 1, 3, backup, "PATH [--keep STATES]",
		"keep what the store holds now as one more state in PATH"},
	{"restore", NULL, 1, 10, restore, "PATH [--at TIME] [--account A]"
		" [--message ID] [--into MAILBOX | --in-place]"
		" | --whole FOLDER",
		"bring mail of a backup back into the store"},
	{.group = NULL},
};
