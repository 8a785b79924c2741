/*
 * cli_fsck.c - mailroom fsck: looks at everything that the store keeps, while
 * the server runs, and says in a sentence each what is not right.
 */
#include "proc/cli.h"

#include "base/clock.h"
#include "mail/mime.h"

struct check {
	struct cli *c;
	struct mime *mime;
	struct buf cache;
	json_t *list;
	uint64_t found, repaired;
	bool is_shown;
	int64_t shown_ms;
};

static void
feed(void *arg, const void *bytes, size_t len)
{
	struct check *k = arg;

	if (!k->mime)
		k->mime = mime_new();
	mime_feed(k->mime, bytes, len);
}

/* What an older release made is no fault; it is made anew where it is met. */
static int
compare(void *arg, struct mr_str kept, struct mr_str *right)
{
	struct check *k = arg;
	struct str have = str_of(kept.at, kept.len);
	struct mime_view v;

	buf_reset(&k->cache);
	mime_end(k->mime ? k->mime : mime_new(), &k->cache);
	k->mime = NULL;
	*right = (struct mr_str){k->cache.at, k->cache.len};
	if (str_eq(have, buf_str(&k->cache)))
		return 0;
	/* Its first bytes name its version. */
	return have.len > 4 && k->cache.len > 4 &&
		!memcmp(have.at, k->cache.at, 3) &&
		have.at[3] < k->cache.at[3] && mime_open(have, &v) ? 2 : 1;
}

static void
found(void *arg, const struct mr_finding *f)
{
	struct check *k = arg;

	k->found++;
	k->repaired += f->is_repaired != 0;
	if (k->list) {
		json_array_append_new(k->list, json_pack("{s:s, s:b, s:s}",
			"what", f->text, "repaired", f->is_repaired, "advice",
			f->advice));
		return;
	}
	if (k->is_shown)
		fputs("\r\033[K", stderr);
	printf("%s%s%s%s\n", f->is_repaired ? "repaired: " : "", f->text,
		*f->advice ? "; " : "", f->advice);
}

static void
progress(void *arg, uint64_t done, uint64_t total)
{
	struct check *k = arg;

	if (!k->is_shown || clock_mono_rough() - k->shown_ms < 1000)
		return;
	k->shown_ms = clock_mono_rough();
	fprintf(stderr, "\r%llu of %llu messages\033[K",
		(unsigned long long)done, (unsigned long long)total);
}

static int
report(struct check *k, const struct mr_fsck *f)
{
	int left = k->found > k->repaired;
	char size[32];

	if (k->list) {
		cli_print_json(json_pack("{s:o, s:I, s:I, s:I, s:I}",
			"findings", k->list, "repaired",
			(json_int_t)k->repaired, "messages",
			(json_int_t)f->messages, "bytes",
			(json_int_t)f->bytes, "renewed",
			(json_int_t)f->renewed));
		return left;
	}
	cli_size(f->bytes, size);
	printf("%llu messages (%s) read; ", (unsigned long long)f->messages,
		size);
	if (f->renewed)
		printf("%llu structures of an older release made anew; ",
			(unsigned long long)f->renewed);
	if (k->found)
		printf("%llu findings, %llu repaired\n",
			(unsigned long long)k->found,
			(unsigned long long)k->repaired);
	else
		puts("everything is right");
	return left;
}

static int
fsck(struct cli *c, int argc, char **argv)
{
	struct check k = {.c = c};
	struct mr_fsck f = {.size = sizeof f, .feed = feed, .found = found,
		.compare = compare, .progress = progress, .arg = &k};
	struct mr_error me = {{0}};
	int code, i;

	for (i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--repair"))
			f.repair = 1;
		else if (!strcmp(argv[i], "--fast"))
			f.fast = 1;
		else
			return cli_usage(c, "an unknown option");
	}
	code = cli_need_store(c);
	if (code)
		return code;
	if (!MR_HAS(c->store.op, fsck) || !c->store.op->fsck) {
		fputs("mailroom: the store plugin cannot be checked\n",
			stderr);
		return 1;
	}
	k.list = c->json ? json_array() : NULL;
	k.is_shown = !c->json && isatty(STDERR_FILENO) == 1;
	buf_init(&k.cache, BUF_NO_CAP);
	code = c->store.op->fsck(c->store.self, &f, &me);
	if (k.is_shown)
		fputs("\r\033[K", stderr);
	mime_free(k.mime);
	buf_free(&k.cache);
	if (code == MR_STORE_OK)
		return report(&k, &f);
	json_decref(k.list);
	return cli_fail_store("fsck", code, &me);
}

const struct cli_verb cli_fsck_verbs[] = {
	{"fsck", NULL, 0, 2, fsck, "[--repair] [--fast]",
		"look at every row and byte that is stored"},
	{.group = NULL},
};
