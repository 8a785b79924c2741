/*
 * rewrite.c - a filter for <libmilter/mfapi.h> that edits body, sender and
 * recipients: negotiates for itself, keeps leading spaces, asks for macros,
 * and carries out the orders in X-Do fields at the end of the message.
 *
 * Built three times from this source, as stamp.c is.
 */
#include <stdbool.h>

#include <libmilter/mfapi.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ORDERS 64

struct work {
	char *order[ORDERS];
	size_t n;
};

static FILE *trace;
static unsigned long leave_out;

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

static sfsistat
on_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long steps,
	unsigned long f2, unsigned long f3, unsigned long *my_actions,
	unsigned long *my_steps, unsigned long *my_f2, unsigned long *my_f3)
{
	(void)f2, (void)f3;
	tell("negotiate %lx %lx (%lx %lx)", actions, steps, *my_actions,
		*my_steps);
	tell("  symlist %d %d %d", smfi_setsymlist(ctx, SMFIM_EOM,
		"i, {mail_addr}"), smfi_setsymlist(ctx, SMFIM_EOM, "j"),
		smfi_setsymlist(ctx, 99, "j"));
	*my_actions = actions;
	*my_steps = SMFIP_HDR_LEADSPC | SMFIP_SKIP | SMFIP_RCPT_REJ |
		SMFIP_NR_CONN | SMFIP_NR_HDR | leave_out;
	*my_f2 = *my_f3 = 0;
	smfi_setpriv(ctx, calloc(1, sizeof(struct work)));
	return leave_out == 0xbad ? SMFIS_REJECT : SMFIS_CONTINUE;
}

static sfsistat
on_connect(SMFICTX *ctx, char *name, struct sockaddr *a)
{
	(void)a;
	tell("connect %s", name);
	return smfi_getpriv(ctx) ? SMFIS_NOREPLY : SMFIS_TEMPFAIL;
}

static sfsistat
on_mail(SMFICTX *ctx, char **list)
{
	tell("mail %s", list[0]);
	/* Strings of a call-back may be written to. */
	list[0][0] = '(';
	smfi_setreply(ctx, "554", "5.6.0", "set at mail, used at the end");
	return SMFIS_CONTINUE;
}

static sfsistat
on_rcpt(SMFICTX *ctx, char **list)
{
	char *mailer = smfi_getsymval(ctx, "{rcpt_mailer}");
	char *host = smfi_getsymval(ctx, "{rcpt_host}");

	tell("rcpt %s mailer=%s host=%s", list[0], mailer ? mailer : "-",
		host ? host : "-");
	return SMFIS_CONTINUE;
}

static sfsistat
on_header(SMFICTX *ctx, char *name, char *value)
{
	struct work *w = smfi_getpriv(ctx);

	tell("header %s:%s|", name, value);
	if (!strcmp(name, "X-Do") && w->n < ORDERS)
		w->order[w->n++] = strdup(value + (*value == ' '));
	return SMFIS_NOREPLY;
}

static sfsistat
on_body(SMFICTX *ctx, unsigned char *bytes, size_t len)
{
	(void)ctx, (void)bytes;
	tell("body %zu", len);
	return len > 1000 ? SMFIS_SKIP : SMFIS_CONTINUE;
}

static void
unescape(char *s)
{
	char *to = s;

	for (; *s; s++)
		if (*s == '\\' && s[1]) {
			s++;
			*to++ = *s == 'n' ? '\n' : *s == 'r' ? '\r' :
				*s == 't' ? '\t' : *s;
		} else {
			*to++ = *s;
		}
	*to = '\0';
}

static int
big_body(SMFICTX *ctx)
{
	size_t n = 200000, i;
	unsigned char *b = malloc(n);
	int code;

	for (i = 0; i < n; i++)
		b[i] = i % 60 == 59 ? '\n' : (unsigned char)('a' + i % 26);
	code = smfi_replacebody(ctx, b, (int)n);
	free(b);
	return code;
}

/* "word a b c": the fields divided by '|'. */
static int
obey(SMFICTX *ctx, char *order, sfsistat *answer)
{
	char *part[4] = {order, "", "", ""};
	char *at = order;
	size_t n;

	for (n = 1; n < 4 && (at = strchr(at, '|')); n++) {
		*at++ = '\0';
		part[n] = at;
	}
	for (n = 0; n < 4; n++)
		if (*part[n])
			unescape(part[n]);
	if (!strcmp(order, "add"))
		return smfi_addheader(ctx, part[1], part[2]);
	if (!strcmp(order, "ins"))
		return smfi_insheader(ctx, (int)strtol(part[1], NULL, 10), part[2], part[3]);
	if (!strcmp(order, "chg"))
		return smfi_chgheader(ctx, part[2], (int)strtol(part[1], NULL, 10),
			*part[3] ? part[3] : NULL);
	if (!strcmp(order, "body"))
		return smfi_replacebody(ctx, (unsigned char *)part[1],
			(int)strlen(part[1]));
	if (!strcmp(order, "bigbody"))
		return big_body(ctx);
	if (!strcmp(order, "from"))
		return smfi_chgfrom(ctx, part[1], *part[2] ? part[2] : NULL);
	if (!strcmp(order, "rcpt"))
		return smfi_addrcpt(ctx, part[1]);
	if (!strcmp(order, "rcptpar"))
		return smfi_addrcpt_par(ctx, part[1], part[2]);
	if (!strcmp(order, "delrcpt"))
		return smfi_delrcpt(ctx, part[1]);
	if (!strcmp(order, "quarantine"))
		return smfi_quarantine(ctx, part[1]);
	if (!strcmp(order, "answer"))
		*answer = (sfsistat)strtol(part[1], NULL, 10);
	return -2;
}

static void
forget(struct work *w)
{
	while (w->n)
		free(w->order[--w->n]);
}

static sfsistat
on_end(SMFICTX *ctx)
{
	struct work *w = smfi_getpriv(ctx);
	char *sender = smfi_getsymval(ctx, "{mail_addr}");
	char *id = smfi_getsymval(ctx, "{msg_id}");
	sfsistat answer = SMFIS_CONTINUE;
	size_t i;

	tell("eom mail_addr=%s msg_id=%s", sender ? sender : "-",
		id ? id : "-");
	for (i = 0; i < w->n; i++)
		tell("  order %zu: %d", i, obey(ctx, w->order[i], &answer));
	forget(w);
	return answer;
}

static sfsistat
on_abort(SMFICTX *ctx)
{
	tell("abort");
	forget(smfi_getpriv(ctx));
	return SMFIS_CONTINUE;
}

static sfsistat
on_close(SMFICTX *ctx)
{
	struct work *w = smfi_getpriv(ctx);

	tell("close");
	if (w)
		forget(w);
	free(w);
	smfi_setpriv(ctx, NULL);
	return SMFIS_CONTINUE;
}

static struct smfiDesc table = {
	.xxfi_name = "rewrite", .xxfi_version = SMFI_VERSION,
	.xxfi_negotiate = on_negotiate, .xxfi_connect = on_connect,
	.xxfi_envfrom = on_mail, .xxfi_envrcpt = on_rcpt,
	.xxfi_header = on_header, .xxfi_body = on_body, .xxfi_eom = on_end,
	.xxfi_abort = on_abort, .xxfi_close = on_close,
};

static int
take_arguments(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "p:t:o:")) != -1)
		switch (c) {
		case 'p':
			if (smfi_setconn(optarg) != MI_SUCCESS)
				return 1;
			break;
		case 't':
			trace = fopen(optarg, "w");
			break;
		case 'o':
			leave_out = strtoul(optarg, NULL, 0);
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
	return smfi_main();
}
#endif
