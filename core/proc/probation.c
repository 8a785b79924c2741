/*
 * probation.c - counting what is said of plugins, and what the generation
 * before ran with.
 */
#include "proc/probation.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "plug/inspect.h"
#include "plug/plugin.h"
#include "proc/team.h"

#define CRASHES 2		/* of a plugin, that are too many */
#define FAILURES_LEAST 10
#define RATE_BAD 5		/* one message in so many fails */
#define RATE_GOOD 50		/* and it was less than one in so many */

void
probation_init(struct probation *p)
{
	*p = (struct probation){.config_fd = -1};
}

void
probation_end(struct probation *p)
{
	if (p->config_fd >= 0)
		close(p->config_fd);
	if (*p->modules.folder)
		probation_drop_modules(p->modules.folder);
	p->config_fd = -1;
	p->modules = (struct kept_modules){.n = 0};
	p->until = 0;
	p->is_due = false;
}

void
probation_free(struct probation *p)
{
	probation_end(p);
}

/* ----------------------------------------------------------------- modules */

static uint64_t
digest(uint64_t h, struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.at[i]) * 0x100000001b3u;
	return (h ^ s.len) * 0x100000001b3u;
}

static void
keep_module(const struct config *c, const char *name,
	const struct conf_node *section, struct kept_modules *out,
	struct arena *a)
{
	const char *to = arena_printf(a, "%s/%s.so", out->folder, name);
	const struct conf_node *n;
	struct str key, bytes;
	struct err e = {0};
	uint64_t h = 0xcbf29ce484222325u;
	size_t at = 0;

	if (out->n == PROBATION_NAMES || strlen(name) >=
		sizeof out->item[0].name)
		return;
	if (file_read(plugin_path(a, name, c->server.plugin_dir, c->doc,
		section), INSPECT_MODULE_MOST, a, &bytes, &e) < 0 ||
		file_replace(to, bytes, 0644, &e) < 0) {
		log_debug("master.generation", LOG_S("plugin", name),
			LOG_S("error", e.text));
		return;
	}
	h = digest(h, bytes);
	while ((n = conf_next(section, &at, &key)))
		if (conf_type_of(n) != CONF_TABLE)
			h = digest(digest(h, key), conf_raw(c->doc, n));
	snprintf(out->item[out->n].name, sizeof out->item[0].name, "%s",
		name);
	out->item[out->n++].digest = h;
}

void
probation_keep_modules(const struct config *c, unsigned generation,
	struct kept_modules *out)
{
	const struct conf_node *all = conf_find(conf_root(c->doc), "plugin");
	const struct conf_node *n;
	struct arena a;
	struct str key;
	size_t at = 0, size = sizeof out->folder;

	*out = (struct kept_modules){.n = 0};
	if (!all || c->workers.probation == 0)
		return;
	snprintf(out->folder, size, "%s/generations", c->server.data);
	if (mkdir(out->folder, 0755) == 0)
		chmod(out->folder, 0755);	/* workers of another user
						   read there */
	snprintf(out->folder, size, "%s/generations/%u", c->server.data,
		generation);
	if (mkdir(out->folder, 0755) < 0 || chmod(out->folder, 0755) < 0) {
		log_warn("master.generation", LOG_S("folder", out->folder),
			LOG_S("error", strerror(errno)));
		out->folder[0] = '\0';
		return;
	}
	while ((n = conf_next(all, &at, &key))) {
		arena_init(&a);
		if (conf_type_of(n) == CONF_TABLE)
			keep_module(c, arena_cstr(&a, key), n, out, &a);
		arena_free(&a);
	}
}

void
probation_drop_modules(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		if (*entry->d_name != '.')
			unlinkat(dirfd(d), entry->d_name, 0);
	if (d)
		closedir(d);
	rmdir(folder);
}

void
probation_clean(const struct config *c)
{
	char path[4096];
	struct dirent *entry;
	size_t n = (size_t)snprintf(path, sizeof path, "%s/generations/",
		c->server.data);
	DIR *d = opendir(path);

	while (d && (entry = readdir(d)))
		if (*entry->d_name != '.') {
			snprintf(path + n, sizeof path - n, "%s",
				entry->d_name);
			probation_drop_modules(path);
		}
	if (d)
		closedir(d);
}

/* ------------------------------------------------------------------ counting */

static struct probation_count *
find(struct probation_counts *c, struct str name, bool make)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (str_is(name, c->plugin[i].name))
			return &c->plugin[i];
	if (!make || c->n == PROBATION_NAMES || !name.len ||
		name.len >= sizeof c->plugin[0].name)
		return NULL;
	c->plugin[c->n] = (struct probation_count){.name = ""};
	memcpy(c->plugin[c->n].name, name.at, name.len);
	return &c->plugin[c->n++];
}

static uint64_t
digest_of(const struct kept_modules *k, const char *name)
{
	size_t i;

	for (i = 0; i < k->n; i++)
		if (!strcmp(k->item[i].name, name))
			return k->item[i].digest;
	return 0;
}

/* What is as it was would be no better in the generation before. */
static void
due(struct probation *p, const struct probation_count *c, const char *why)
{
	if (p->is_due || digest_of(&p->modules, c->name) ==
		digest_of(&p->modules_now, c->name))
		return;
	p->is_due = true;
	snprintf(p->plugin, sizeof p->plugin, "%s", c->name);
	snprintf(p->why, sizeof p->why, "%s", why);
}

static void
judge(struct probation *p, const struct probation_count *c)
{
	const struct probation_count *old = find(&p->before,
		str_from(c->name), false);
	char why[160];

	if (!p->until || clock_mono() >= p->until)
		return;
	if (c->crashes >= CRASHES) {
		snprintf(why, sizeof why, "it crashed %u times", c->crashes);
		due(p, c, why);
	}
	if (c->failures < FAILURES_LEAST ||
		c->failures * RATE_BAD < c->messages ||
		(old && old->failures * RATE_GOOD > old->messages))
		return;
	snprintf(why, sizeof why, "%llu of %llu messages failed in it",
		(unsigned long long)c->failures,
		(unsigned long long)c->messages);
	due(p, c, why);
}

void
probation_heard(struct probation *p, struct str words)
{
	struct str what = str_cut(&words, ' '), name = str_cut(&words, ' ');
	struct str messages = str_cut(&words, ' ');
	struct probation_count *c;
	uint64_t n, m;

	if (!str_is(what, "crash") && !str_is(what, "died") &&
		!str_is(what, "rate"))
		return;
	c = find(&p->now, name, true);
	if (!c)
		return;
	if (!str_is(what, "rate")) {
		c->crashes++;
	} else if (str_u64(messages, UINT32_MAX, &n) && str_u64(words,
		UINT32_MAX, &m)) {
		c->messages += n;
		c->failures += m;
	}
	judge(p, c);
}

void
probation_begin(struct probation *p, struct team *before,
	const struct team *now)
{
	const int64_t patience = now->config->workers.probation;

	probation_end(p);
	p->before = p->now;
	p->now = (struct probation_counts){.n = 0};
	if (!patience || !*before->modules.folder)
		return;
	p->config_fd = fcntl(before->config_fd, F_DUPFD_CLOEXEC, 3);
	if (p->config_fd < 0)
		return;
	p->modules = before->modules;
	before->modules.folder[0] = '\0';
	p->modules_now = now->modules;
	p->generation = before->generation;
	p->until = clock_mono() + patience;
}
