/*
 * noop.c - a filter of no work in three forms: a daemon on libmilter, a
 * libmilter filter inside the process (TABLE), a plugin of ours (NATIVE).
 * Every call-back is there and says "continue". The daemon may be told to
 * sleep at the end of each message: noop SOCKET [MILLISECONDS].
 */
#include <stdbool.h>

#ifdef NATIVE
#include <mailroom/plugin.h>

static enum mr_verdict
pass(struct mr_call *call)
{
	(void)call;
	return MR_PASS;
}

static enum mr_verdict
pass_one(struct mr_call *call, const char *text)
{
	(void)call;
	(void)text;
	return MR_PASS;
}

static enum mr_verdict
pass_two(struct mr_call *call, const char *one, const char *two)
{
	(void)call;
	(void)one;
	(void)two;
	return MR_PASS;
}

static const struct mr_filter filter = {
	.size = sizeof filter, .connect = pass, .helo = pass_one,
	.mail = pass_one, .rcpt = pass_two, .data = pass, .message = pass,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "noop", .version = "1", .filter = &filter,
};
#else
#include <stdlib.h>
#include <unistd.h>

#include <libmilter/mfapi.h>

static sfsistat
on_connect(SMFICTX *ctx, char *name, struct sockaddr *a)
{
	(void)ctx;
	(void)name;
	(void)a;
	return SMFIS_CONTINUE;
}

static sfsistat
on_text(SMFICTX *ctx, char *text)
{
	(void)ctx;
	(void)text;
	return SMFIS_CONTINUE;
}

static sfsistat
on_list(SMFICTX *ctx, char **list)
{
	(void)ctx;
	(void)list;
	return SMFIS_CONTINUE;
}

static sfsistat
on_header(SMFICTX *ctx, char *name, char *value)
{
	(void)ctx;
	(void)name;
	(void)value;
	return SMFIS_CONTINUE;
}

static sfsistat
on_body(SMFICTX *ctx, unsigned char *bytes, size_t len)
{
	(void)ctx;
	(void)bytes;
	(void)len;
	return SMFIS_CONTINUE;
}

static sfsistat
on_step(SMFICTX *ctx)
{
	(void)ctx;
	return SMFIS_CONTINUE;
}

static int rest_ms;

static sfsistat
on_end(SMFICTX *ctx)
{
	(void)ctx;
	if (rest_ms)
		usleep((useconds_t)rest_ms * 1000);
	return SMFIS_CONTINUE;
}

static struct smfiDesc table = {
	.xxfi_name = (char *)"noop", .xxfi_version = SMFI_VERSION,
	.xxfi_connect = on_connect, .xxfi_helo = on_text,
	.xxfi_envfrom = on_list, .xxfi_envrcpt = on_list,
	.xxfi_data = on_step, .xxfi_header = on_header, .xxfi_eoh = on_step,
	.xxfi_body = on_body, .xxfi_eom = on_end, .xxfi_abort = on_step,
	.xxfi_close = on_step,
};

#ifdef TABLE
struct smfiDesc *mailroom_milter(int argc, char **argv);
struct smfiDesc *
mailroom_milter(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return &table;
}
#else
int
main(int argc, char **argv)
{
	if (argc == 3)
		rest_ms = (int)strtol(argv[2], NULL, 10);
	if (argc < 2 || argc > 3 || smfi_setconn(argv[1]) != MI_SUCCESS ||
		smfi_register(table) != MI_SUCCESS)
		return 1;
	return smfi_main();
}
#endif
#endif
