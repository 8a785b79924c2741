/*
 * host.c - the services that plugins are given, on a session's facts.
 *
 * Every function may be called with nonsense by a plugin: what concerns a
 * message says -1 outside one, names are checked, and nothing here trusts a
 * pointer that it did not make beyond reading the C string behind it. Runs
 * on the session's thread.
 */
#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "mail/addr.h"
#include "mail/header.h"
#include "plug/scene.h"
#include "plug/special.h"

#define TEXT_MOST 4096		/* of a reply or reason */
#define VALUE_MOST (256 << 10)	/* of one header field */
#define MAILBOX_MOST 200	/* bytes of a mailbox's name */

static struct mr_str
view(struct str s)
{
	return (struct mr_str){s.at ? s.at : "", s.len};
}

static struct mr_str
view_c(const char *c)
{
	return view(str_from(c));
}

static struct facts *
facts_of(struct mr_call *call)
{
	return scene_of(call)->hooks->facts;
}

/* The message while its hook runs, else NULL. */
static struct message *
message_of(struct mr_call *call)
{
	return scene_of(call)->is_message ? facts_of(call)->message : NULL;
}

static const char *
who(struct mr_call *call)
{
	return scene_of(call)->seat->plugin->name;
}

static void
host_log(struct mr_call *call, enum mr_log_level level, const char *text)
{
	struct facts *f = facts_of(call);
	enum log_level l = level == MR_LOG_DEBUG ? LOG_DEBUG :
		level == MR_LOG_INFO ? LOG_INFO :
		level == MR_LOG_WARN ? LOG_WARN : LOG_ERROR;

	log_write(l, "plugin.says", (const struct log_field[]){
		LOG_S("plugin", who(call)), LOG_S("session", f->session),
		LOG_S("message", f->queue_id), LOG_S("text", text)}, 4);
}

static void
host_say(struct mr_call *call, int code, const char *enhanced,
	const char *text)
{
	struct scene *s = scene_of(call);
	struct str t = str_from(text);

	s->code = code;
	snprintf(s->enhanced, sizeof s->enhanced, "%s",
		enhanced ? enhanced : "");
	s->text = arena_str(s->hooks->in_message ?
		facts_of(call)->message_arena : facts_of(call)->session_arena,
		str_sub(t, 0, TEXT_MOST));
}

static int64_t
host_deadline(struct mr_call *call)
{
	int64_t left = scene_of(call)->deadline - clock_mono();

	return left > 0 ? left : 0;
}

static void *
host_session_alloc(struct mr_call *call, size_t size)
{
	return arena_alloc(facts_of(call)->session_arena, size);
}

static void *
host_message_alloc(struct mr_call *call, size_t size)
{
	return scene_of(call)->hooks->in_message ?
		arena_alloc(facts_of(call)->message_arena, size) : NULL;
}

/* ----------------------------------------------------------------- facts */

static struct mr_str
tls_bits(struct mr_call *call, const struct facts *f)
{
	if (!f->tls.bits)
		return view_c("");
	return view_c(arena_printf(&scene_of(call)->scratch, "%d",
		f->tls.bits));
}

static struct mr_str
envelope_fact(const struct facts *f, enum mr_fact which)
{
	if (!f->envelope)
		return view_c("");
	return view(which == MR_FACT_SENDER ? f->envelope->sender :
		f->envelope->sender_args);
}

static struct mr_str
host_fact(struct mr_call *call, enum mr_fact which)
{
	const struct hooks *h = scene_of(call)->hooks;
	const struct facts *f = h->facts;

	switch (which) {
	case MR_FACT_SESSION:
		return view_c(f->session);
	case MR_FACT_QUEUE_ID:
		return view_c(f->queue_id);
	case MR_FACT_HOSTNAME:
		return view_c(f->hostname);
	case MR_FACT_AUTHSERV_ID:
		return view_c(f->authserv_id);
	case MR_FACT_SOFTWARE:
		return view_c(f->software);
	case MR_FACT_LISTENER:
		return view_c(f->listener);
	case MR_FACT_LISTENER_PURPOSE:
		return view_c(f->purpose);
	case MR_FACT_CHAIN:
		return view_c(f->chain);
	case MR_FACT_PROTOCOL:
		return view_c(f->protocol);
	case MR_FACT_PEER_ADDRESS:
		return view_c(h->peer_host);
	case MR_FACT_PEER_PORT:
		return view_c(h->peer_port);
	case MR_FACT_PEER_NAME:
		return view(f->peer_name);
	case MR_FACT_LOCAL_ADDRESS:
		return view_c(h->local_host);
	case MR_FACT_LOCAL_PORT:
		return view_c(h->local_port);
	case MR_FACT_HELO:
		return view(f->helo);
	case MR_FACT_TLS_VERSION:
		return view_c(f->tls.version);
	case MR_FACT_TLS_CIPHER:
		return view_c(f->tls.cipher);
	case MR_FACT_TLS_BITS:
		return tls_bits(call, f);
	case MR_FACT_AUTH_LOGIN:
		return view(f->auth_login);
	case MR_FACT_AUTH_MECHANISM:
		return view_c(f->auth_mechanism);
	case MR_FACT_SENDER:
	case MR_FACT_SENDER_ARGS:
		return envelope_fact(f, which);
	case MR_FACT_RCPT_REFUSED:
		return view(f->rcpt_refused);
	case MR_FACT_RCPT_MAILER:
		return view_c(f->rcpt_mailer);
	}
	return view_c("");	/* newer than this host */
}

/* -------------------------------------------------------- what is there */

static int
host_rcpt(struct mr_call *call, size_t index, struct mr_rcpt *out)
{
	const struct envelope *e = facts_of(call)->envelope;
	size_t i;

	for (i = 0; e && i < e->n_rcpt; i++) {
		if (e->rcpt[i].removed || index--)
			continue;
		out->address = view(e->rcpt[i].address);
		out->args = view(e->rcpt[i].args);
		return 0;
	}
	return -1;
}

/* Copied, since plugins are promised a NUL behind. */
static int
host_header(struct mr_call *call, size_t index, struct mr_header *out)
{
	struct message *m = message_of(call);
	struct arena *a = &scene_of(call)->scratch;
	struct message_field f;

	if (!m || !message_field(m, index, &f))
		return -1;
	out->id = f.id;
	out->name = view(arena_str(a, f.name));
	out->value = view(arena_str(a, f.value));
	return 0;
}

static uint64_t
host_body_size(struct mr_call *call)
{
	struct message *m = message_of(call);

	return m ? message_body_length(m) : 0;
}

static int64_t
host_body_read(struct mr_call *call, uint64_t offset, void *out, size_t len)
{
	struct message *m = message_of(call);
	struct err e = {0};
	int64_t n;

	if (!m)
		return -1;
	n = message_body_read(m, offset, out, len, &e);
	if (n < 0)
		log_error("spool.read", LOG_S("message",
			facts_of(call)->queue_id), LOG_S("error", e.text));
	return n;
}

/* ----------------------------------------------------------------- edits */

static bool
is_field(const char *name, const char *value)
{
	return name && value && header_is_name(str_from(name)) &&
		strlen(value) <= VALUE_MOST;
}

static int
host_header_insert(struct mr_call *call, size_t index, const char *name,
	const char *value)
{
	struct message *m = message_of(call);

	if (!m || !is_field(name, value))
		return -1;
	return message_insert(m, who(call), index, str_from(name),
		str_from(value), !scene_of(call)->exact);
}

static int
host_header_add(struct mr_call *call, const char *name, const char *value)
{
	return host_header_insert(call, SIZE_MAX, name, value);
}

static int
host_header_change(struct mr_call *call, uint64_t id, const char *name,
	const char *value)
{
	struct message *m = message_of(call);

	if (!m || !value || !is_field(name ? name : "x", value))
		return -1;
	return message_change(m, who(call), id, name ? str_from(name) :
		(struct str){NULL, 0}, str_from(value),
		!scene_of(call)->exact);
}

static int
host_header_remove(struct mr_call *call, uint64_t id)
{
	struct message *m = message_of(call);

	return m ? message_remove(m, who(call), id) : -1;
}

static void
host_header_exact(struct mr_call *call, int on)
{
	scene_of(call)->exact = on != 0;
}

static void
host_edits_undo(struct mr_call *call)
{
	if (message_of(call))
		scene_undo(scene_of(call));
}

static int
host_body_replace(struct mr_call *call, const void *bytes, size_t len)
{
	struct message *m = message_of(call);
	struct err e = {0};

	if (!m || (!bytes && len))
		return -1;
	if (message_body_replace(m, who(call), str_of(bytes, len), &e) == 0)
		return 0;
	log_error("spool.write", LOG_S("message", facts_of(call)->queue_id),
		LOG_S("error", e.text));
	return -1;
}

/* Addresses of filters stand in commands to other servers: only what a client
 * could have said is taken. A name alone is one of this machine. */
static bool
parse_address(struct mr_call *call, const char *address, bool allow_null,
	struct str *out)
{
	struct facts *f = facts_of(call);
	struct arena *a = f->message_arena;
	struct str rest;
	struct addr parsed;

	if (!message_of(call) || !address || strlen(address) > 1000)
		return false;
	address = arena_printf(a, "<%s%s%s>", address, *address &&
		!strchr(address, '@') ? "@" : "", *address &&
		!strchr(address, '@') ? f->hostname : "");
	if (!addr_parse_path(str_from(address), allow_null, false, &parsed,
		&rest) || rest.len || parsed.is_utf8)
		return false;
	*out = parsed.full;
	return true;
}

/* ESMTP arguments of a filter: a line of printable words. */
static bool
is_args(const char *args)
{
	if (!args || strlen(args) > 1000)
		return !args;
	for (; *args; args++)
		if (*args < ' ' || *args == 127)
			return false;
	return true;
}

static int
host_sender_change(struct mr_call *call, const char *address,
	const char *args)
{
	struct facts *f = facts_of(call);
	struct str sender;

	if (!parse_address(call, address, true, &sender) || !is_args(args))
		return -1;
	f->envelope->sender = arena_str(f->message_arena, sender);
	if (args)
		f->envelope->sender_args = arena_str(f->message_arena,
			str_from(args));
	return 0;
}

static int
host_rcpt_add(struct mr_call *call, const char *address, const char *args)
{
	struct envelope *e = facts_of(call)->envelope;
	struct str rcpt;
	size_t i;

	if (!parse_address(call, address, false, &rcpt) || !is_args(args))
		return -1;
	if (envelope_find(e, rcpt) != SIZE_MAX)
		return 0;	/* duplicates are dropped */
	i = envelope_add(e, rcpt, str_from(args));
	e->rcpt[i].added = true;
	return 0;
}

static int
host_rcpt_remove(struct mr_call *call, const char *address)
{
	struct envelope *e = facts_of(call)->envelope;
	size_t i;

	if (!message_of(call) || !address)
		return -1;
	i = envelope_find(e, str_from(address));
	if (i == SIZE_MAX)
		return -1;
	e->rcpt[i].removed = true;
	return 0;
}

static struct mr_str
host_rcpt_account(struct mr_call *call, size_t index)
{
	const struct envelope *e = facts_of(call)->envelope;
	size_t i;

	for (i = 0; e && i < e->n_rcpt; i++)
		if (!e->rcpt[i].removed && !index--)
			return view(e->rcpt[i].account);
	return view_c("");
}

/* What a store takes as a name: one that it refuses would refuse the mail. */
static bool
is_mailbox(const char *name)
{
	size_t len = name ? strlen(name) : 0, i;

	for (i = 0; i < len; i++)
		if ((unsigned char)name[i] < ' ' || name[i] == 127)
			return false;
	return len && len <= MAILBOX_MOST && name[0] != '/' &&
		name[len - 1] != '/' && !strstr(name, "//") &&
		enc_is_utf8(str_from(name));
}

static int
host_file_into(struct mr_call *call, const char *rcpt, const char *mailbox)
{
	struct envelope *e = facts_of(call)->envelope;
	size_t which = SIZE_MAX;

	if (!message_of(call) || !e || !is_mailbox(mailbox))
		return -1;
	if (mailbox[0] == '\\' && !special_use_of(str_from(mailbox)))
		return -1;
	if (rcpt && (which = envelope_find(e, str_from(rcpt))) == SIZE_MAX)
		return -1;
	return envelope_file(e, which, str_from(mailbox));
}

/* --------------------------------------------------------------- results */

static const char *
keep(struct facts *f, const char *text)
{
	return text ? arena_cstr(f->message_arena, str_from(text)) : NULL;
}

static int
host_result_add(struct mr_call *call, const struct mr_result *r)
{
	struct facts *f = facts_of(call);
	struct result *one;

	if (!scene_of(call)->hooks->in_message || !MR_HAS(r, props) ||
		!r->method || !r->value)
		return -1;
	one = arena_alloc(f->message_arena, sizeof *one);
	one->method = keep(f, r->method);
	one->value = keep(f, r->value);
	one->reason = keep(f, r->reason);
	one->props = keep(f, r->props);
	*f->results_end = one;
	f->results_end = &one->next;
	return 0;
}

static int
host_result(struct mr_call *call, size_t index, struct mr_result *out)
{
	const struct result *r = facts_of(call)->results;

	while (r && index--)
		r = r->next;
	if (!r)
		return -1;
	out->method = r->method;
	out->value = r->value;
	out->reason = r->reason;
	out->props = r->props;
	return 0;
}

const struct mr_host plug_host = {
	.size = sizeof plug_host,
	.abi = MR_ABI,
	.version = PACKAGE_VERSION,
	.log = host_log,
	.say = host_say,
	.deadline = host_deadline,
	.session_alloc = host_session_alloc,
	.message_alloc = host_message_alloc,
	.fact = host_fact,
	.rcpt = host_rcpt,
	.header = host_header,
	.body_size = host_body_size,
	.body_read = host_body_read,
	.header_add = host_header_add,
	.header_insert = host_header_insert,
	.header_change = host_header_change,
	.header_remove = host_header_remove,
	.header_exact = host_header_exact,
	.edits_undo = host_edits_undo,
	.body_replace = host_body_replace,
	.sender_change = host_sender_change,
	.rcpt_add = host_rcpt_add,
	.rcpt_remove = host_rcpt_remove,
	.result_add = host_result_add,
	.result = host_result,
	.dns = host_dns,
	.state_get = host_state_get,
	.state_set = host_state_set,
	.state_add = host_state_add,
	.rcpt_account = host_rcpt_account,
	.file_into = host_file_into,
};
