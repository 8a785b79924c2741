/*
 * place.c - from targets to placements. Any thread; blocks on the directory,
 * and on disk where a body is copied.
 */
#include "queue/place.h"

#include "base/file.h"
#include "mail/addr.h"
#include "mail/esmtp_args.h"
#include "plug/forward.h"
#include "plug/special.h"
#include "queue/sched.h"

const char *
place_next_hop(struct arena *a, const char *address)
{
	struct addr to;
	struct str ascii;

	if (!addr_parse(str_from(address), &to))
		return "";
	if (addr_is_literal(to.domain))
		return arena_cstr(a, to.domain);
	ascii = addr_domain_ascii(a, to.domain);
	return arena_cstr(a, ascii.at ? ascii : to.domain);
}

/* ------------------------------------------------------------- arguments */

/* What a list's members get of the arguments of who wrote to it. */
static bool
is_of_content(struct str word)
{
	static const char *const keys[] = {"BODY", "SMTPUTF8", "REQUIRETLS",
		"TLS-REQUIRED"};
	struct str key = str_cut(&word, '=');
	size_t i;

	for (i = 0; i < sizeof keys / sizeof *keys; i++)
		if (str_iis(key, keys[i]))
			return true;
	return false;
}

/* Its success is told by "expanded". */
static void
add_without_success(struct buf *out, struct str notify)
{
	bool any = false;

	buf_adds(out, "NOTIFY=");
	while (notify.len) {
		struct str one = str_cut(&notify, ',');

		if (str_iis(one, "SUCCESS"))
			continue;
		buf_adds(out, any ? "," : "");
		buf_addstr(out, one);
		any = true;
	}
	if (!any)
		buf_adds(out, "NEVER");
}

static void
add_arg(struct buf *out, const struct place *p, struct str word)
{
	buf_adds(out, out->len ? " " : "");
	if (p->is_expanded && str_istarts(word, "NOTIFY="))
		add_without_success(out, str_sub(word, 7, word.len));
	else
		buf_addstr(out, word);
}

const char *
place_args(const struct place *p, const struct route_target *t)
{
	struct str rest = p->args, word;
	struct buf b;
	const char *out;

	if (!p->args.len)
		return NULL;
	buf_init(&b, 8000);
	while ((word = str_word(&rest)).len)
		if (!t->sender || is_of_content(word))
			add_arg(&b, p, word);
	if (!t->sender && !str_is(p->rcpt, t->address) &&
		esmtp_arg(p->args, "NOTIFY", NULL) &&
		!esmtp_arg(p->args, "ORCPT", NULL)) {
		buf_adds(&b, " ORCPT=rfc822;");
		xtext_encode(&b, p->rcpt);
	}
	out = b.len ? arena_cstr(p->arena, buf_str(&b)) : NULL;
	buf_free(&b);
	return out;
}

/* --------------------------------------------------------------- mailboxes */

#define FILED "XFILE"		/* no extension of SMTP has it */

struct str
place_filed(struct arena *a, struct str args, struct str mailbox)
{
	struct str out;
	struct buf b;

	if (!mailbox.len)
		return args;
	buf_init(&b, BUF_NO_CAP);
	buf_addstr(&b, args);
	buf_adds(&b, args.len ? " " FILED "=" : FILED "=");
	xtext_encode(&b, mailbox);
	out = arena_str(a, buf_str(&b));
	buf_free(&b);
	return out;
}

struct use {
	uint32_t special;
	struct arena *arena;
	const char *name;	/* NULL: no mailbox has it */
};

static int
take_use(void *arg, const struct mr_mailbox *m)
{
	struct use *u = arg;

	if (m->special == u->special && !u->name)
		u->name = arena_cstr(u->arena, str_from(m->name));
	return 0;
}

/* "\Junk" is the account's mailbox of that use; where there is none it is
 * made with the use's own name. A store that fails here fails the commit. */
static const char *
mailbox_of_use(const struct place *p, const char *account, const char *name)
{
	struct use u = {.special = special_use_of(str_from(name)),
		.arena = p->arena};
	const struct mr_store *op = p->store ? p->store->op : NULL;
	struct mr_error me = {{0}};

	name = special_names[u.special];
	if (!op || !op->mailbox_list)
		return name;
	op->mailbox_list(p->store->self, account, take_use, &u, &me);
	if (!u.name)
		op->mailbox_create(p->store->self, account, name, u.special,
			&me);
	return u.name ? u.name : name;
}

const char *
place_mailbox(const struct place *p, const struct route_target *t)
{
	struct str value;
	struct buf b;
	const char *name;

	if (!esmtp_arg(p->args, FILED, &value))
		return t->mailbox;
	buf_init(&b, 1000);
	name = xtext_decode(&b, value) ? arena_cstr(p->arena, buf_str(&b)) :
		t->mailbox;
	buf_free(&b);
	return special_use_of(str_from(name)) ?
		mailbox_of_use(p, t->account, name) : name;
}

/* ---------------------------------------------------------------- targets */

struct mr_placement
place_target(const struct place *p, const struct route_target *t)
{
	struct sched_terms when;

	if (t->account)
		return (struct mr_placement){.kind = MR_PLACE_MAILBOX,
			.account = t->account,
			.mailbox = place_mailbox(p, t),
			.create = 1, .received_ms = p->now_ms,
			.sender = p->sender};
	when = sched_terms(p->args, p->now_ms, p->lifetime_ms);
	return (struct mr_placement){.kind = MR_PLACE_QUEUE,
		.sender = forward_sender(p->plugins, p->arena, t, p->sender),
		.rcpt = t->address,
		.next_hop = place_next_hop(p->arena, t->address),
		.dsn = place_args(p, t), .next_ms = when.next_ms,
		.expire_ms = when.expire_ms};
}

struct mr_placement *
place_targets(const struct place *p, const struct route_target *t, size_t *n)
{
	const struct route_target *one;
	struct mr_placement *out;
	struct place each = *p;
	size_t count = 0;

	each.is_expanded = t && t->next;
	for (one = t; one; one = one->next)
		count++;
	out = arena_alloc(p->arena, (count + 1) * sizeof *out);
	for (*n = 0; t; t = t->next)
		out[(*n)++] = place_target(&each, t);
	return out;
}

/* ------------------------------------------------------------------ bytes */

int
place_copy_body(const struct store *s, const char *data, int64_t message_id,
	struct err *e)
{
	struct mr_error me = {{0}};
	char path[4096], block[16384];
	uint64_t length, at = 0;
	int64_t n = -1;
	void *body;
	int fd;

	snprintf(path, sizeof path, "%s/tmp", data);
	fd = file_temp(path, e);
	if (fd < 0)
		return -1;
	if (store_result(s->op->body_open(s->self, message_id, &body, &length,
		&me), &me, e) < 0)
		goto out;
	while ((n = s->op->body_read(body, at, block, sizeof block, &me)) > 0 &&
		file_write_all(fd, block, (size_t)n, e) == 0)
		at += (uint64_t)n;
	s->op->body_close(body);
	if (n < 0)
		err_set(e, ERR_STORE, "%s", me.text);
out:
	if (n == 0 && at == length)
		return fd;
	close(fd);
	return -1;
}
