/*
 * cli.c - configuration, store and output for the verbs of the command line.
 */
#include "proc/cli.h"

#include "base/clock.h"
#include "base/file.h"
#include "mail/addr.h"
#include "proc/priv.h"

int
cli_fail(const char *what, const struct err *e)
{
	fprintf(stderr, "mailroom: %s: %s\n", what, e->text);
	return 1;
}

int
cli_fail_store(const char *what, int code, const struct mr_error *me)
{
	struct err e = {0};

	store_result(code, me, &e);
	return cli_fail(what, &e);
}

int
cli_usage(const struct cli *c, const char *why)
{
	const struct cli_verb *v = c->verb;

	fprintf(stderr, "mailroom: %s\nusage: mailroom %s%s%s%s%s\n", why,
		v->group, v->verb ? " " : "", v->verb ? v->verb : "",
		*v->args ? " " : "", v->args);
	return 2;
}

int
cli_need_config(struct cli *c)
{
	struct conf_report report;
	struct arena a;
	struct err e = {0};
	struct str text;
	int code = 1;

	if (c->config)
		return 0;
	arena_init(&a);
	conf_report_init(&report);
	if (config_read(c->config_file, &a, &text, &e) < 0) {
		cli_fail("cannot go on", &e);
		goto out;
	}
	c->config = config_parse(text, c->config_file, &report);
	if (report.text.len)
		fputs(buf_c(&report.text), stderr);
	code = report.errors ? 1 : 0;
out:
	conf_report_free(&report);
	arena_free(&a);
	return code;
}

/* One that is there keeps its owner. */
static int
make_folder(struct cli *c, const char *path, struct err *e)
{
	uid_t uid;
	gid_t gid;

	if (access(path, F_OK) == 0)
		return 0;
	if (file_mkdirs(path, 0700, e) < 0)
		return -1;
	if (geteuid() != 0)
		return 0;
	if (priv_find_user(c->config->server.user, &uid, &gid, e) < 0)
		return -1;
	return chown(path, uid, gid) < 0 ? err_sys(e, "%s", path) : 0;
}

int
cli_need_store(struct cli *c)
{
	struct conf_report report;
	struct err e = {0};
	int code = 1;

	if (cli_need_config(c))
		return 1;
	/* Files that we make must belong to the server's user. */
	if ((c->makes && make_folder(c, c->makes, &e) < 0) || (c->reads_all ?
		priv_drop_but_read : priv_drop)(c->config->server.user, &e) < 0)
		return cli_fail("cannot go on", &e);
	conf_report_init(&report);
	plugins_init(&c->plugins);
	if (!config_load_plugins(c->config, ROLE_RUNNER, &c->plugins, &report))
		fputs(buf_c(&report.text), stderr);
	else if (plugins_open(&c->plugins, role_name(ROLE_CLI),
		c->config->server.data, c->config->server.hostname, &e) < 0 ||
		store_find(&c->plugins, &c->store, &e) < 0 ||
		expire_retain(&c->config->expire, &c->store, &e) < 0)
		cli_fail("opening the store", &e);
	else
		code = 0;
	conf_report_free(&report);
	return code;
}

int
cli_need_state(struct cli *c)
{
	int code = cli_need_store(c);

	if (code)
		return code;
	if (MR_HAS(c->store.op, state_list) && c->store.op->state_list)
		return 0;
	fputs("mailroom: the store plugin keeps no such facts\n", stderr);
	return 1;
}

const char *
cli_address(struct cli *c, const char *text)
{
	return arena_cstr(&c->config->arena, addr_canonical(&c->config->arena,
		str_from(text)));
}

int
cli_print_json(json_t *j)
{
	char *text = json_dumps(j, JSON_INDENT(2) | JSON_ENCODE_ANY);

	if (text)
		puts(text);
	free(text);
	json_decref(j);
	return text ? 0 : 1;
}

void
cli_beside(const char *program, char *out, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", out, size - 1);
	size_t folder = str_rfind(str_of(out, n < 0 ? 0 : (size_t)n), '/') +
		1;

	snprintf(out + folder, size - folder, "%s", program);
	/* Installed, the server itself is in sbin. */
	if (access(out, F_OK) < 0)
		snprintf(out + folder, size - folder, "../sbin/%s", program);
}

void
cli_size(uint64_t bytes, char out[32])
{
	static const char *const unit[] = {"B", "kB", "MB", "GB", "TB"};
	double d = (double)bytes;
	int u = 0;

	while (d >= 1000 && u < 4) {
		d /= 1000;
		u++;
	}
	snprintf(out, 32, u ? "%.1f %s" : "%.0f %s", d, unit[u]);
}

void
cli_when(int64_t wall_ms, char out[32])
{
	int64_t s = (wall_ms - clock_wall()) / 1000, a = s < 0 ? -s : s;
	const char *from = s > 0 ? "in " : "", *to = s > 0 ? "" : " ago";

	if (a < 1)
		snprintf(out, 32, "now");
	else if (a < 120)
		snprintf(out, 32, "%s%lld s%s", from, (long long)a, to);
	else if (a < 7200)
		snprintf(out, 32, "%s%lld min%s", from, (long long)a / 60, to);
	else if (a < 172800)
		snprintf(out, 32, "%s%lld h%s", from, (long long)a / 3600, to);
	else
		snprintf(out, 32, "%s%lld d%s", from, (long long)a / 86400, to);
}
