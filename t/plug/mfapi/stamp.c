/*
 * stamp.c - a filter for <libmilter/mfapi.h> in the style of those that add
 * headers: notes what it is shown, in a trace and in X-Saw fields, and
 * refuses what asks for it by its address, HELO name or headers.
 *
 * Built three times from this source: a daemon with libmilter, a module
 * whose main is renamed, and (TABLE) one that gives its table.
 */
#include <stdbool.h>

#include <arpa/inet.h>
#include <libmilter/mfapi.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct note {
	unsigned messages, headers;
	size_t body;
	unsigned chunks;
};

static FILE *trace;

static void __attribute__((format(printf, 1, 2)))
tell(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(trace, fmt, ap);
	va_end(ap);
	fputc('\n', trace);
	fflush(trace);
}

static void
tell_macros(SMFICTX *ctx)
{
	static const char *const names[] = {"i", "{i}", "j", "{daemon_name}",
		"{client_addr}", "_", "{mail_addr}", "{rcpt_addr}",
		"{rcpt_mailer}", "{auth_authen}", "{msg_id}", "{nonsense}",
		"s", "r"};
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++) {
		char *v = smfi_getsymval(ctx, (char *)names[i]);

		tell("  %s=%s", names[i], v ? v : "(none)");
	}
}

/* What is not allowed now must fail, on both sides. */
static void
tell_refusals(SMFICTX *ctx)
{
	tell("  early: %d %d %d %d", smfi_addheader(ctx, "X", "y"),
		smfi_replacebody(ctx, (unsigned char *)"x", 1),
		smfi_quarantine(ctx, "no"), smfi_setpriv(NULL, NULL));
}

static sfsistat
on_connect(SMFICTX *ctx, char *name, struct sockaddr *a)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)a;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;
	char text[64] = "none";

	if (a && a->sa_family == AF_INET)
		inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
	else if (a && a->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
	tell("connect %s %s %d", name, text, a ? ntohs(v4->sin_port) : 0);
	tell_macros(ctx);
	tell_refusals(ctx);
	smfi_setpriv(ctx, calloc(1, sizeof(struct note)));
	return strstr(name, "accept") ? SMFIS_ACCEPT :
		strstr(name, "refuse") ? SMFIS_REJECT : SMFIS_CONTINUE;
}

static sfsistat
on_helo(SMFICTX *ctx, char *name)
{
	tell("helo %s priv=%d", name, smfi_getpriv(ctx) != NULL);
	tell_macros(ctx);
	if (strstr(name, "refuse")) {
		smfi_setreply(ctx, "550", "5.7.1", "not 100%% welcome");
		return SMFIS_REJECT;
	}
	return strstr(name, "accept") ? SMFIS_ACCEPT : SMFIS_CONTINUE;
}

static void
tell_list(const char *what, char **list)
{
	size_t i;

	for (i = 0; list[i]; i++)
		tell("%s[%zu] %s", what, i, list[i]);
}

/* Every form of a reply, good and bad. */
static void
try_replies(SMFICTX *ctx)
{
	char big[1002];

	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	tell("  replies %d %d %d %d %d %d %d %d",
		smfi_setreply(ctx, "250", NULL, "no"),
		smfi_setreply(ctx, "5500", NULL, "no"),
		smfi_setreply(ctx, NULL, NULL, "no"),
		smfi_setreply(ctx, "550", "5.7", "no"),
		smfi_setreply(ctx, "550", "5.7.1", "a\nb"),
		smfi_setreply(ctx, "550", "5.7.1", big),
		smfi_setmlreply(ctx, "450", "4.7.1", "a\r", NULL),
		smfi_setmlreply(ctx, "650", "4.7.1", "a", NULL));
}

static sfsistat
on_mail(SMFICTX *ctx, char **list)
{
	struct note *n = smfi_getpriv(ctx);

	tell_list("mail", list);
	tell_macros(ctx);
	try_replies(ctx);
	n->messages++;
	n->headers = n->chunks = 0;
	n->body = 0;
	if (strstr(list[0], "stop"))
		smfi_stop();
	if (strstr(list[0], "tempfail")) {
		smfi_setmlreply(ctx, "450", NULL, "come", "back", "later",
			NULL);
		return SMFIS_TEMPFAIL;
	}
	if (strstr(list[0], "one")) {
		smfi_setmlreply(ctx, "550", "5.1.8", "one line", NULL);
		return SMFIS_REJECT;
	}
	/* A reply whose class does not fit the answer. */
	if (strstr(list[0], "mismatch")) {
		smfi_setreply(ctx, "550", "5.1.8", "waits");
		return SMFIS_TEMPFAIL;
	}
	return strstr(list[0], "accept") ? SMFIS_ACCEPT :
		strstr(list[0], "drop") ? SMFIS_DISCARD : SMFIS_CONTINUE;
}

static sfsistat
on_rcpt(SMFICTX *ctx, char **list)
{
	tell_list("rcpt", list);
	tell_macros(ctx);
	if (strstr(list[0], "bare")) {
		smfi_setreply(ctx, "551", NULL, NULL);
		return SMFIS_REJECT;
	}
	if (strstr(list[0], "hangup")) {
		smfi_setreply(ctx, "421", "4.7.0", "bye");
		return SMFIS_TEMPFAIL;
	}
	return strstr(list[0], "refuse") ? SMFIS_REJECT :
		strstr(list[0], "later") ? SMFIS_TEMPFAIL :
		strstr(list[0], "accept") ? SMFIS_ACCEPT :
		strstr(list[0], "drop") ? SMFIS_DISCARD : SMFIS_CONTINUE;
}

static sfsistat
on_data(SMFICTX *ctx)
{
	char *id = smfi_getsymval(ctx, "i");

	tell("data i=%s", id ? id : "(none)");
	return SMFIS_CONTINUE;
}

static sfsistat
on_header(SMFICTX *ctx, char *name, char *value)
{
	struct note *n = smfi_getpriv(ctx);

	n->headers++;
	tell("header %s:%s|", name, value);
	if (!strcmp(name, "X-Header"))
		return !strcmp(value, "skip") ? SMFIS_SKIP :
			!strcmp(value, "accept") ? SMFIS_ACCEPT :
			!strcmp(value, "drop") ? SMFIS_DISCARD :
			!strcmp(value, "reject") ? SMFIS_REJECT :
			SMFIS_TEMPFAIL;
	return SMFIS_CONTINUE;
}

static sfsistat
on_eoh(SMFICTX *ctx)
{
	tell("eoh");
	tell_macros(ctx);
	return SMFIS_CONTINUE;
}

static sfsistat
on_body(SMFICTX *ctx, unsigned char *bytes, size_t len)
{
	struct note *n = smfi_getpriv(ctx);

	n->chunks++;
	n->body += len;
	tell("body %zu %02x..%02x", len, bytes[0], bytes[len - 1]);
	return len > 3 && !memcmp(bytes, "skip", 4) ? SMFIS_SKIP :
		len > 5 && !memcmp(bytes, "reject", 6) ? SMFIS_REJECT :
		SMFIS_CONTINUE;
}

static sfsistat
on_end(SMFICTX *ctx)
{
	struct note *n = smfi_getpriv(ctx);
	char text[200];

	tell("eom");
	tell_macros(ctx);
	snprintf(text, sizeof text, "message %u, %u headers,\n\t%zu bytes in "
		"%u chunks", n->messages, n->headers, n->body, n->chunks);
	tell("  edits %d %d %d %d %d %d %d %d",
		smfi_addheader(ctx, "X-Saw", text),
		smfi_insheader(ctx, 1, "X-First", "100% sure"),
		smfi_insheader(ctx, -1, "X-Bad", "x"),
		smfi_addheader(ctx, "", "x"),
		smfi_addheader(ctx, "X-Null", NULL),
		smfi_chgheader(ctx, "Subject", 1, "changed"),
		smfi_replacebody(ctx, (unsigned char *)"x", 1),
		smfi_addrcpt(ctx, "<no@example.org>"));
	smfi_progress(ctx);
	return SMFIS_CONTINUE;
}

static sfsistat
on_abort(SMFICTX *ctx)
{
	tell("abort priv=%d", smfi_getpriv(ctx) != NULL);
	return SMFIS_CONTINUE;
}

static sfsistat
on_close(SMFICTX *ctx)
{
	tell("close priv=%d", smfi_getpriv(ctx) != NULL);
	free(smfi_getpriv(ctx));
	smfi_setpriv(ctx, NULL);
	return SMFIS_CONTINUE;
}

static sfsistat
on_unknown(SMFICTX *ctx, const char *line)
{
	(void)ctx;
	tell("unknown %s", line);
	return SMFIS_CONTINUE;
}

static struct smfiDesc table = {
	.xxfi_name = "stamp", .xxfi_version = SMFI_VERSION,
	.xxfi_flags = SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_QUARANTINE,
	.xxfi_connect = on_connect, .xxfi_helo = on_helo,
	.xxfi_envfrom = on_mail, .xxfi_envrcpt = on_rcpt,
	.xxfi_data = on_data, .xxfi_header = on_header, .xxfi_eoh = on_eoh,
	.xxfi_body = on_body, .xxfi_eom = on_end, .xxfi_abort = on_abort,
	.xxfi_close = on_close, .xxfi_unknown = on_unknown,
};

/* -p SOCKET -t TRACE [-v VERSION] [-n: leave steps out] */
static int
take_arguments(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "p:t:v:n")) != -1)
		switch (c) {
		case 'p':
			if (smfi_setconn(optarg) != MI_SUCCESS)
				return 1;
			break;
		case 't':
			trace = fopen(optarg, "w");
			break;
		case 'v':
			table.xxfi_version = (int)strtol(optarg, NULL, 0);
			break;
		case 'n':
			table.xxfi_header = NULL;
			table.xxfi_helo = NULL;
			table.xxfi_data = NULL;
			break;
		default:
			return 64;
		}
	return trace ? 0 : 65;
}

#ifdef TABLE
struct smfiDesc *mailroom_milter(int argc, char **argv);
struct smfiDesc *
mailroom_milter(int argc, char **argv)
{
	return take_arguments(argc, argv) ? NULL : &table;
}
#else
int main(int argc, char **argv);
int
main(int argc, char **argv)
{
	int code = take_arguments(argc, argv);

	if (code)
		return code;
	if (smfi_register(table) != MI_SUCCESS)
		return 69;
	umask(0077);
	code = smfi_main();
	tell("end %d", code);
	return code;
}
#endif
