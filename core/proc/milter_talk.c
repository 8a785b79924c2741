/*
 * milter_talk.c - the call-backs of mailroom-milter: what another mail
 * server tells through libmilter becomes facts and a message of ours, and
 * the hooks of the plugin run over them as in our own server.
 *
 * Edits exist in that world only at the end of a message, and so do holding
 * and dropping one: what a hook says earlier is kept until then. libmilter
 * runs the call-backs of a session one at a time, on any thread.
 */
#include "proc/milter_export.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/log.h"

#define REPLY_MOST 980		/* bytes of one line, after doubling % */
#define REPLY_LINES 32
#define MEMORY_MESSAGE (1 << 20)

/* ---------------------------------------------------------- negotiation */

unsigned long
export_actions(const struct mr_filter *f)
{
	unsigned long a = SMFIF_QUARANTINE;

	if (f->may & (MR_MAY_HEADERS | MR_MAY_RESULTS))
		a |= SMFIF_ADDHDRS | SMFIF_CHGHDRS;
	if (f->may & MR_MAY_BODY)
		a |= SMFIF_CHGBODY;
	if (f->may & MR_MAY_SENDER)
		a |= SMFIF_CHGFROM;
	if (f->may & MR_MAY_RCPTS)
		a |= SMFIF_ADDRCPT | SMFIF_ADDRCPT_PAR | SMFIF_DELRCPT;
	return a;
}

/* Connect, HELO, sender and recipients are always told, because any hook may
 * ask for them; what has no hook is not answered. Headers are needed to
 * count by when they may be changed. Their end is not left out: libmilter
 * would give no answer to the end of a message that has no header. */
unsigned long
export_steps(const struct mr_filter *f)
{
	unsigned long s = SMFIP_NR_HDR | SMFIP_NR_EOH | SMFIP_NR_BODY;

	if (!PLUG_HOOK(f, connect))
		s |= SMFIP_NR_CONN;
	if (!PLUG_HOOK(f, helo))
		s |= SMFIP_NR_HELO;
	if (!PLUG_HOOK(f, mail))
		s |= SMFIP_NR_MAIL;
	if (!PLUG_HOOK(f, rcpt))
		s |= SMFIP_NR_RCPT;
	if (!PLUG_HOOK(f, data))
		s |= SMFIP_NODATA;
	if (!PLUG_HOOK(f, unknown))
		s |= SMFIP_NOUNKNOWN;
	if (PLUG_HOOK(f, rcpt) && f->wants & MR_WANT_REFUSED)
		s |= SMFIP_RCPT_REJ;
	if (!PLUG_HOOK(f, message) || !((f->needs & MR_NEEDS_HEADERS) |
		(f->may & MR_MAY_HEADERS)))
		s |= SMFIP_NOHDRS | SMFIP_NOEOH;
	else
		s |= SMFIP_HDR_LEADSPC;
	if (!PLUG_HOOK(f, message) || !(f->needs & MR_NEEDS_BODY))
		s |= SMFIP_NOBODY;
	return s;
}

/* Sendmail takes the list of the end only with one for the end of headers. */
static void
ask_for_macros(SMFICTX *ctx)
{
	static const struct {
		int stage;
		const char *names;
	} list[] = {
		{SMFIM_CONNECT, "j v {daemon_name} {daemon_addr} "
			"{daemon_port} {if_addr}"},
		{SMFIM_HELO, "{tls_version} {cipher} {cipher_bits}"},
		{SMFIM_ENVFROM, "i r {auth_type} {auth_authen}"},
		{SMFIM_ENVRCPT, "i {rcpt_addr} {rcpt_host} {rcpt_mailer}"},
		{SMFIM_EOH, "i"}, {SMFIM_EOM, "i"},
	};
	size_t i;

	for (i = 0; i < sizeof list / sizeof *list; i++)
		smfi_setsymlist(ctx, list[i].stage, (char *)list[i].names);
}

static sfsistat
on_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long steps,
	unsigned long f2, unsigned long f3, unsigned long *my_actions,
	unsigned long *my_steps, unsigned long *my_f2, unsigned long *my_f3)
{
	const struct mr_filter *f = export.plugin.desc->filter;
	struct export_session *s;

	(void)f2;
	(void)f3;
	*my_actions = export_actions(f);
	*my_steps = export_steps(f) & steps;
	*my_f2 = *my_f3 = 0;
	if (*my_actions & ~actions) {
		log_error("export.offer", LOG_S("plugin", export.plugin.name),
			LOG_S("text", "the mail server does not offer all "
			"edits that the plugin may make"),
			LOG_N("missing", *my_actions & ~actions));
		return SMFIS_REJECT;
	}
	if (actions & SMFIF_SETSYMLIST) {
		*my_actions |= SMFIF_SETSYMLIST;
		ask_for_macros(ctx);
	}
	s = mem_alloc(sizeof *s);
	s->steps = *my_steps;
	smfi_setpriv(ctx, s);
	return SMFIS_CONTINUE;
}

/* ----------------------------------------------------------------- facts */

static struct export_session *
session_of(SMFICTX *ctx)
{
	struct export_session *s = smfi_getpriv(ctx);

	s->ctx = ctx;
	return s;
}

static const char *
macro(struct export_session *s, const char *name)
{
	const char *value = smfi_getsymval(s->ctx, (char *)name);

	return value ? value : "";
}

static const char *
keep_macro(struct export_session *s, const char *name, const char *otherwise)
{
	const char *value = macro(s, name);

	return arena_cstr(&s->session, str_from(*value ? value : otherwise));
}

static void
set_peer(struct sock_addr *out, const struct sockaddr *a)
{
	out->sa.ss_family = AF_UNIX;
	out->len = sizeof(sa_family_t);
	if (a && a->sa_family == AF_INET)
		out->len = sizeof(struct sockaddr_in);
	else if (a && a->sa_family == AF_INET6)
		out->len = sizeof(struct sockaddr_in6);
	else
		return;
	memcpy(&out->sa, a, out->len);
}

static void
set_local(struct export_session *s)
{
	const char *address = macro(s, "{daemon_addr}");
	const char *port = macro(s, "{daemon_port}");
	struct err e = {0};

	if (!*address)
		address = macro(s, "{if_addr}");
	if (!strncmp(address, "IPv6:", 5))
		address += 5;
	s->facts.local.sa.ss_family = AF_UNIX;
	if (*address)
		sock_parse(str_from(arena_printf(&s->session,
			strchr(address, ':') ? "[%s]:%s" : "%s:%s", address,
			*port ? port : "25")), &s->facts.local, &e);
}

static void
set_facts(struct export_session *s, const char *name, const struct sockaddr *a)
{
	static unsigned serial;
	struct facts *f = &s->facts;

	*f = (struct facts){.purpose = "mx", .chain = "milter",
		.protocol = "ESMTP", .auth_mechanism = "", .rcpt_mailer = "",
		.session_arena = &s->session,
		.message_arena = &s->message_arena};
	snprintf(f->session, sizeof f->session, "m%u",
		__atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED));
	f->hostname = f->authserv_id = keep_macro(s, "j", export.hostname);
	f->software = keep_macro(s, "v", "Mailroom " PACKAGE_VERSION);
	f->listener = keep_macro(s, "{daemon_name}", "milter");
	f->peer_name = *name == '[' ? STR("") :
		arena_str(&s->session, str_from(name));
	f->helo = f->auth_login = f->rcpt_refused = STR("");
	set_peer(&f->peer, a);
	set_local(s);
}

/* --------------------------------------------------------------- answers */

/* A line as libmilter takes it: % doubled, nothing that ends a line. */
static char *
reply_text(struct export_session *s, struct str line)
{
	struct buf b;
	char *text;
	size_t i;

	buf_init(&b, REPLY_MOST);
	for (i = 0; i < line.len && b.len + 2 <= REPLY_MOST; i++) {
		char c = line.at[i];

		buf_addc(&b, (unsigned char)c < ' ' ? ' ' : c);
		if (c == '%')
			buf_addc(&b, '%');
	}
	text = arena_cstr(&s->session, buf_str(&b));
	buf_free(&b);
	return text;
}

static void
set_reply(struct export_session *s, const struct reply *r)
{
	struct str rest = r->text;
	char *l[REPLY_LINES] = {NULL}, code[4];
	size_t n = 0;

	while (rest.len && n < REPLY_LINES)
		l[n++] = reply_text(s, str_cut(&rest, '\n'));
	snprintf(code, sizeof code, "%d", r->code);
	smfi_setmlreply(s->ctx, code, *r->enhanced ? r->enhanced : NULL,
		l[0], l[1], l[2], l[3], l[4], l[5], l[6], l[7], l[8], l[9],
		l[10], l[11], l[12], l[13], l[14], l[15], l[16], l[17], l[18],
		l[19], l[20], l[21], l[22], l[23], l[24], l[25], l[26], l[27],
		l[28], l[29], l[30], l[31], NULL);
}

/* What cannot be said at this step waits for the end of the message. */
static sfsistat
answer(struct export_session *s, const struct verdict *v)
{
	switch (v->kind) {
	case MR_TEMPFAIL:
	case MR_HANGUP:
	case MR_REJECT:
		set_reply(s, &v->reply);
		return v->reply.code / 100 == 5 ? SMFIS_REJECT :
			SMFIS_TEMPFAIL;
	case MR_DISCARD:
		s->drop_all |= !s->in_message;
		s->aside = *v;
		return s->in_message ? SMFIS_DISCARD : SMFIS_CONTINUE;
	case MR_QUARANTINE:
		if (s->aside.kind == MR_PASS)
			s->aside = *v;
		return SMFIS_CONTINUE;
	default:
		return SMFIS_CONTINUE;
	}
}

static sfsistat
say(struct export_session *s, struct verdict v, unsigned long quiet)
{
	sfsistat a = answer(s, &v);

	return s->steps & quiet ? SMFIS_NOREPLY : a;
}

static void
end_message(struct export_session *s)
{
	if (!s->in_message)
		return;
	hooks_reset(s->hooks);
	message_free(s->message);
	s->message = NULL;
	s->facts.envelope = NULL;
	s->facts.queue_id[0] = '\0';
	s->in_message = false;
	s->aside = (struct verdict){.kind = MR_PASS};
	arena_reset(&s->message_arena);
}

/* ------------------------------------------------------------ call-backs */

static sfsistat
on_connect(SMFICTX *ctx, char *name, struct sockaddr *a)
{
	struct export_session *s = session_of(ctx);

	set_facts(s, name, a);
	s->hooks = hooks_new(&export.chain, &s->facts);
	return say(s, hooks_connect(s->hooks), SMFIP_NR_CONN);
}

static sfsistat
on_helo(SMFICTX *ctx, char *name)
{
	struct export_session *s = session_of(ctx);
	struct facts *f = &s->facts;
	uint64_t bits = 0;

	end_message(s);
	f->helo = arena_str(&s->session, str_from(name));
	snprintf(f->tls.version, sizeof f->tls.version, "%s",
		macro(s, "{tls_version}"));
	snprintf(f->tls.cipher, sizeof f->tls.cipher, "%s",
		macro(s, "{cipher}"));
	str_u64(str_from(macro(s, "{cipher_bits}")), 10000, &bits);
	f->tls.bits = (int)bits;
	return say(s, hooks_helo(s->hooks), SMFIP_NR_HELO);
}

/* "<address>" and its arguments, joined again. */
static struct str
take_path(struct export_session *s, char **list, struct str *args)
{
	struct str path = str_from(list[0]);
	struct buf b;
	size_t i;

	if (path.len >= 2 && path.at[0] == '<' &&
		path.at[path.len - 1] == '>')
		path = str_sub(path, 1, path.len - 2);
	buf_init(&b, BUF_NO_CAP);
	for (i = 1; list[i]; i++)
		buf_addf(&b, "%s%s", i > 1 ? " " : "", list[i]);
	*args = arena_str(&s->message_arena, buf_str(&b));
	buf_free(&b);
	return arena_str(&s->message_arena, path);
}

static void
note_queue_id(struct export_session *s)
{
	if (!*s->facts.queue_id)
		snprintf(s->facts.queue_id, sizeof s->facts.queue_id, "%s",
			macro(s, "i"));
}

static sfsistat
on_mail(SMFICTX *ctx, char **list)
{
	struct export_session *s = session_of(ctx);
	const char *protocol = macro(s, "r");
	struct verdict v;

	end_message(s);
	envelope_init(&s->envelope, &s->message_arena);
	s->envelope.sender = take_path(s, list, &s->envelope.sender_args);
	s->facts.envelope = &s->envelope;
	s->facts.auth_login = arena_str(&s->session,
		str_from(macro(s, "{auth_authen}")));
	s->facts.auth_mechanism = keep_macro(s, "{auth_type}", "");
	if (*protocol)
		s->facts.protocol = keep_macro(s, "r", "");
	if (s->facts.auth_login.len)
		s->facts.purpose = "submission";
	note_queue_id(s);
	s->message = message_new(&s->message_arena, export.tmp,
		MEMORY_MESSAGE);
	s->in_message = true;
	s->in_body = s->told_data = s->broken = false;
	v = hooks_mail(s->hooks);
	if (s->drop_all && !v.reply.code)
		v.kind = MR_DISCARD;
	return say(s, v, SMFIP_NR_MAIL);
}

/* A recipient that the server refuses: its reply, from three macros. */
static struct verdict
tell_refused(struct export_session *s, size_t i)
{
	struct reply r = {.code = 550};
	struct verdict v;

	snprintf(r.enhanced, sizeof r.enhanced, "%s",
		macro(s, "{rcpt_host}"));
	if (*r.enhanced == '4')
		r.code = 450;
	r.text = arena_str(&s->message_arena,
		str_from(macro(s, "{rcpt_addr}")));
	v = hooks_rcpt(s->hooks, i, &r);
	s->envelope.n_rcpt--;
	return v;
}

static sfsistat
on_rcpt(SMFICTX *ctx, char **list)
{
	struct export_session *s = session_of(ctx);
	struct str args, address = take_path(s, list, &args);
	struct str mailer = str_from(macro(s, "{rcpt_mailer}"));
	size_t i = envelope_add(&s->envelope, address, args);
	struct verdict v;

	note_queue_id(s);
	s->facts.rcpt_mailer = str_is(mailer, "error") ? "error" :
		str_is(mailer, "local") || str_is(mailer, "virtual") ||
		str_is(mailer, "lmtp") ? "local" : "relay";
	if (str_is(mailer, "error"))
		return say(s, tell_refused(s, i), SMFIP_NR_RCPT);
	v = hooks_rcpt(s->hooks, i, NULL);
	if (v.kind == MR_TEMPFAIL || v.kind == MR_REJECT ||
		v.kind == MR_HANGUP)
		s->envelope.n_rcpt--;
	return say(s, v, SMFIP_NR_RCPT);
}

static sfsistat
on_data(SMFICTX *ctx)
{
	struct export_session *s = session_of(ctx);

	s->told_data = true;
	note_queue_id(s);
	return say(s, hooks_data(s->hooks), 0);
}

static void
write_bytes(struct export_session *s, struct str bytes)
{
	struct err e = {0};

	if (s->broken || message_write(s->message, bytes, &e) == 0)
		return;
	log_error("export.spool", LOG_S("error", e.text));
	s->broken = true;
}

static sfsistat
on_header(SMFICTX *ctx, char *name, char *value)
{
	struct export_session *s = session_of(ctx);
	struct str rest = str_from(value), line;

	write_bytes(s, str_from(name));
	write_bytes(s, s->steps & SMFIP_HDR_LEADSPC ? STR(":") : STR(": "));
	do {
		line = str_cut(&rest, '\n');
		write_bytes(s, line);
		write_bytes(s, STR("\r\n"));
	} while (rest.len);
	return s->steps & SMFIP_NR_HDR ? SMFIS_NOREPLY : SMFIS_CONTINUE;
}

static void
begin_body(struct export_session *s)
{
	if (!s->in_body)
		write_bytes(s, STR("\r\n"));
	s->in_body = true;
}

static sfsistat
on_eoh(SMFICTX *ctx)
{
	return session_of(ctx)->steps & SMFIP_NR_EOH ? SMFIS_NOREPLY :
		SMFIS_CONTINUE;
}

static sfsistat
on_body(SMFICTX *ctx, unsigned char *bytes, size_t len)
{
	struct export_session *s = session_of(ctx);

	begin_body(s);
	write_bytes(s, str_of(bytes, len));
	return s->steps & SMFIP_NR_BODY ? SMFIS_NOREPLY : SMFIS_CONTINUE;
}

/* The anchor stands for the server's own Received, which it does not show. */
static bool
seal(struct export_session *s)
{
	struct err e = {0};

	begin_body(s);
	if (s->broken || message_seal(s->message, &e) < 0)
		return false;
	s->before = s->envelope;
	export_note_fields(s);
	return true;
}

static sfsistat
finish(struct export_session *s, struct verdict v)
{
	sfsistat a = answer(s, &v);
	struct str why = s->aside.reason;

	if (a != SMFIS_CONTINUE)
		return a;
	if (s->aside.kind == MR_DISCARD)
		return SMFIS_DISCARD;
	if (export_edits(s) < 0) {
		log_error("export.edit", LOG_S("message", s->facts.queue_id),
			LOG_S("text", "the mail server's library refused an "
			"edit; does the plugin say in `may` what it does?"));
		return SMFIS_TEMPFAIL;
	}
	if (s->aside.kind == MR_QUARANTINE)
		smfi_quarantine(s->ctx, why.len ? arena_cstr(
			&s->message_arena, why) : (char *)"held by a filter");
	return SMFIS_CONTINUE;
}

static sfsistat
on_end(SMFICTX *ctx)
{
	struct export_session *s = session_of(ctx);
	struct verdict v = {.kind = MR_PASS};
	sfsistat a = SMFIS_TEMPFAIL;

	note_queue_id(s);
	if (!s->told_data)
		v = hooks_data(s->hooks);
	if (seal(s)) {
		s->facts.message = s->message;
		if (v.kind <= MR_DONE)
			v = hooks_message(s->hooks);
		a = finish(s, v);
		s->facts.message = NULL;
	}
	end_message(s);
	return a;
}

static sfsistat
on_abort(SMFICTX *ctx)
{
	end_message(session_of(ctx));
	return SMFIS_CONTINUE;
}

static sfsistat
on_close(SMFICTX *ctx)
{
	struct export_session *s = smfi_getpriv(ctx);

	if (!s)
		return SMFIS_CONTINUE;
	s->ctx = ctx;
	end_message(s);
	if (s->hooks)
		hooks_end(s->hooks);
	arena_free(&s->message_arena);
	arena_free(&s->session);
	free(s);
	smfi_setpriv(ctx, NULL);
	return SMFIS_CONTINUE;
}

static sfsistat
on_unknown(SMFICTX *ctx, const char *line)
{
	struct export_session *s = session_of(ctx);

	return say(s, hooks_unknown(s->hooks, str_from(line)), 0);
}

const struct smfiDesc export_table = {
	.xxfi_name = (char *)"mailroom", .xxfi_version = SMFI_VERSION,
	.xxfi_negotiate = on_negotiate, .xxfi_connect = on_connect,
	.xxfi_helo = on_helo, .xxfi_envfrom = on_mail,
	.xxfi_envrcpt = on_rcpt, .xxfi_data = on_data,
	.xxfi_header = on_header, .xxfi_eoh = on_eoh, .xxfi_body = on_body,
	.xxfi_eom = on_end, .xxfi_abort = on_abort, .xxfi_close = on_close,
	.xxfi_unknown = on_unknown,
};
