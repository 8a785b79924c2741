/*
 * cli_store.c - mailroom store: how large it is, and giving space back.
 */
#include "proc/cli.h"

static int
need_sizes(struct cli *c)
{
	int code = cli_need_store(c);

	if (code)
		return code;
	if (MR_HAS(c->store.op, vacuum) && c->store.op->vacuum)
		return 0;
	fputs("mailroom: the store plugin does not tell its sizes\n", stderr);
	return 1;
}

static json_t *
sizes_json(const struct mr_sizes *s)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I,"
		" s:b}", "messages", (json_int_t)s->messages, "removed",
		(json_int_t)s->removed, "database", (json_int_t)s->database,
		"unused", (json_int_t)s->unused, "log", (json_int_t)s->log,
		"segments", (json_int_t)s->segments, "large",
		(json_int_t)s->large, "segment_disk",
		(json_int_t)s->segment_disk, "index", (json_int_t)s->index,
		"disk_free", (json_int_t)s->disk_free, "shrinks", s->shrinks);
}

static void
print_size(const char *name, uint64_t bytes, const char *note)
{
	char size[32];

	cli_size(bytes, size);
	printf("%-16s%10s%s%s\n", name, size, *note ? "   " : "", note);
}

static int
status(struct cli *c, int argc, char **argv)
{
	struct mr_sizes s = {.size = sizeof s};
	struct mr_error me = {{0}};
	char note[100], size[32];
	int code = need_sizes(c);

	(void)argc;
	(void)argv;
	if (code)
		return code;
	code = c->store.op->sizes(c->store.self, &s, &me);
	if (code)
		return cli_fail_store("store status", code, &me);
	if (c->json)
		return cli_print_json(sizes_json(&s));
	printf("%-16s%10llu   and %llu removed, of which the bytes go soon\n",
		"messages", (unsigned long long)s.messages,
		(unsigned long long)s.removed);
	cli_size(s.unused, size);
	snprintf(note, sizeof note, "%s of it unused%s", size, s.shrinks ? ""
		: "; shrinks after mailroom store vacuum --whole");
	print_size("database", s.database, note);
	print_size("log", s.log, "");
	snprintf(note, sizeof note, "in %llu files",
		(unsigned long long)s.segments);
	print_size("large messages", s.large, note);
	print_size("  on disk", s.segment_disk, "");
	print_size("search index", s.index, "");
	print_size("free on disk", s.disk_free, "");
	return 0;
}

static int
vacuum(struct cli *c, int argc, char **argv)
{
	struct mr_error me = {{0}};
	uint64_t freed;
	char size[32];
	int code;

	if (argc && strcmp(argv[0], "--whole"))
		return cli_usage(c, "an unknown option");
	code = need_sizes(c);
	if (code)
		return code;
	code = c->store.op->vacuum(c->store.self, argc, &freed, &me);
	if (code == MR_STORE_INVALID)
		fputs("mailroom: once, --whole is needed; mail that comes "
			"meanwhile waits\n", stderr);
	if (code)
		return cli_fail_store("store vacuum", code, &me);
	if (c->json)
		return cli_print_json(json_pack("{s:I}", "freed",
			(json_int_t)freed));
	cli_size(freed, size);
	printf("%s given back to the disk\n", size);
	return 0;
}

const struct cli_verb cli_store_verbs[] = {
	{"store", "status", 0, 0, status, "", "how large the store is"},
	{"store", "vacuum", 0, 1, vacuum, "[--whole]",
		"give unused space of the database back to the disk"},
	{.group = NULL},
};
