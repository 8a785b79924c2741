/*
 * fake.c - the host that fake.h promises. Nothing of the core is linked.
 */
#include "fake.h"

#include <dlfcn.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct mr_host host = {.size = sizeof host, .abi = MR_ABI,
	.version = "test"};

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

/* "16 KiB", "10m", "7", in the unit of the setting's C type. */
static int64_t
number_of(const char *text)
{
	static const struct {
		const char *unit;
		int64_t factor;
	} units[] = {{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
		{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000},
		{"d", 86400000}};
	char *rest;
	int64_t n;
	size_t i;

	text += *text == '"';
	n = strtoll(text, &rest, 10);
	rest += strspn(rest, " ");
	for (i = 0; i < sizeof units / sizeof *units; i++)
		if (!strncmp(rest, units[i].unit, strlen(units[i].unit)))
			return n * units[i].factor;
	return n;
}

static void
fill_one(char *config, const struct mr_setting *s)
{
	void *at = config + s->offset;
	const char *text = s->fallback ? s->fallback : "";
	char *copy;

	switch (s->type) {
	case MR_BOOL:
		*(bool *)at = strcmp(text, "true") == 0;
		break;
	case MR_TEXT:
	case MR_PATH:
		copy = strdup(text + (*text == '"'));
		copy[strcspn(copy, "\"")] = 0;
		*(const char **)at = copy;	/* until forget */
		break;
	default:
		*(int64_t *)at = number_of(text);
	}
}

static void
fill(struct fake *f, const struct fake_setting *over)
{
	const struct mr_setting *s;

	for (s = f->plugin->settings; s && s->name; s++)
		fill_one(f->self, s);
	for (; over && over->name; over++) {
		for (s = f->plugin->settings; s->name; s++)
			if (!strcmp(s->name, over->name))
				break;
		if (!s->name)
			die("no such setting", over->name);
		*(int64_t *)((char *)f->self + s->offset) = over->value;
	}
}

static void
forget(struct fake *f)
{
	const struct mr_setting *s;

	for (s = f->plugin->settings; s->name; s++)
		if (s->type == MR_TEXT || s->type == MR_PATH)
			free(*(char **)((char *)f->self + s->offset));
	free(f->self);
}

const char *
fake_try(struct fake *f, const char *folder, const struct fake_setting *over)
{
	static char why[240];
	struct mr_open o = {.size = sizeof o, .host = &host,
		.instance = "sqlite", .data = folder, .hostname = "test",
		.role = "mailbox", .error = why, .error_size = sizeof why};
	const char *module = getenv("SQLITE_MODULE");
	void *handle = dlopen(module ? module : SQLITE_MODULE,
		RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		die("dlopen", dlerror());
	f->plugin = dlsym(handle, MR_PLUGIN_SYMBOL);
	if (!f->plugin)
		die("dlsym", dlerror());
	f->op = f->plugin->store;
	f->self = calloc(1, f->plugin->config_size);
	fill(f, over);
	why[0] = 0;
	if (f->plugin->open(f->self, &o) == 0)
		return "";
	forget(f);
	return why[0] ? why : "it did not say why";
}

void
fake_open(struct fake *f, const char *folder, const struct fake_setting *over)
{
	const char *why = fake_try(f, folder, over);

	if (*why)
		die("open", why);
}

void
fake_close(struct fake *f)
{
	f->plugin->close(f->self);
	forget(f);
}

const char *
fake_folder(void)
{
	const char *tmp = getenv("TMPDIR");
	char path[4000];

	snprintf(path, sizeof path, "%s/store-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(path))
		die("mkdtemp", path);
	return strdup(path);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void
fake_folder_remove(const char *folder)
{
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free((char *)(uintptr_t)folder);
}

int64_t
fake_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void
fake_add(struct fake *f, const char *account)
{
	struct mr_error err = {{0}};
	const char *domain = strchr(account, '@');
	int code;

	if (domain)
		f->op->domain_add(f->self, domain + 1, &err);
	code = f->op->account_add(f->self, account, "secret", &err);
	if (code != MR_STORE_OK && code != MR_STORE_EXISTS)
		die("account_add", err.text);
}

void
fake_mailbox(struct fake *f, const char *account, const char *name,
	struct mr_mailbox *out)
{
	struct mr_error err = {{0}};

	if (f->op->mailbox_find(f->self, account, name, out, &err) !=
		MR_STORE_OK)
		die("mailbox_find", err.text);
}

/* -------------------------------------------------------------- messages */

char *
fake_body(unsigned number, size_t length)
{
	char *b = malloc(length + 64);
	size_t i;

	snprintf(b, 64, "%010u %010zu\n", number, length);
	for (i = 22; i < length; i++)
		b[i] = (char)('a' + (i * 7 + number * 13 + i / 4096) % 26);
	return b;
}

bool
fake_is_whole(struct fake *f, int64_t message, unsigned *number)
{
	struct mr_error err = {{0}};
	uint64_t length = 0, at = 0;
	bool same = false;
	char *got, *want;
	void *body;
	int64_t n = 0;

	if (f->op->body_open(f->self, message, &body, &length, &err) !=
		MR_STORE_OK)
		return false;
	got = calloc(1, length + 1);
	while (at < length && (n = f->op->body_read(body, at, got + at,
		length - at < 10000 ? length - at : 10000, &err)) > 0)
		at += (uint64_t)n;
	f->op->body_close(body);
	if (n >= 0 && at == length && sscanf(got, "%10u", number) == 1) {
		want = fake_body(*number, length);
		same = memcmp(want, got, length) == 0;
		free(want);
	}
	free(got);
	return same;
}

int
fake_commit(struct fake *f, const char *account, const char *mailbox,
	unsigned number, size_t length, struct mr_placement *out,
	struct mr_error *err)
{
	char *body = fake_body(number, length), trace[16];
	struct mr_piece piece = {.mem = body, .fd = -1, .length = length};
	struct mr_commit c = {.size = sizeof c, .trace = trace,
		.origin = "test", .piece = &piece, .n_piece = 1,
		.length = length, .place = out, .n_place = 1};
	int code;

	snprintf(trace, sizeof trace, "t%u", number);
	EVP_Digest(body, length, c.sha256, NULL, EVP_sha256(), NULL);
	*out = (struct mr_placement){.kind = MR_PLACE_MAILBOX,
		.account = account, .mailbox = mailbox, .create = 1,
		.received_ms = 1000 + number};
	code = f->op->commit(f->self, &c, err);
	free(body);
	return code;
}
