/*
 * smtp_rejected.c - the header of a stranger's message that was refused, for
 * the Rejected mailboxes of administrators (imap_admin.h).
 *
 * The answer to the client does not wait on whether this works, and a flood
 * of refused mail must not become one of writes: so many a minute are kept,
 * counted in the atomic variables of this file, and what is kept is small.
 * Administrators whose mailbox is not there are left out.
 */
#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "queue/submit.h"
#include "serve/imap_admin.h"
#include "serve/smtp.h"

#include <stdatomic.h>

#define MINUTE 60000
#define KEPT_A_MINUTE 60
#define HEADER_MOST 65536
#define RCPTS_MOST 20		/* that are named */
#define ADMINS_MOST 16
#define TRIM_EACH 50		/* messages */
#define TRACE_LENGTH 14

static _Atomic int64_t minute;
static atomic_uint kept;

static bool
may_keep(void)
{
	int64_t now = clock_mono() / MINUTE;

	if (atomic_exchange(&minute, now) != now)
		atomic_store(&kept, 0);
	return atomic_fetch_add(&kept, 1) < KEPT_A_MINUTE;
}

static int
find_rejected(void *arg, const struct mr_mailbox *m)
{
	int64_t *id = arg;

	if (m->special != MR_SPECIAL_REJECTED)
		return 0;
	*id = m->id;
	return 1;
}

/* As the directory has it. */
static const char *
account_name(struct smtp *k, const char *item)
{
	char *name = arena_cstr(&k->message, str_from(item));
	size_t i;

	for (i = 0; name[i]; i++)
		name[i] = to_lower(name[i]);
	return name;
}

/* A placement for each administrator who has the mailbox. */
static size_t
find_places(struct smtp *k, struct mr_placement out[ADMINS_MOST])
{
	const struct mr_list *l = &k->house->imap->admins;
	const struct store *s = &k->house->store;
	struct mr_error me = {{0}};
	size_t i, n = 0;

	for (i = 0; i < l->n && n < ADMINS_MOST; i++) {
		const char *account = account_name(k, l->item[i]);
		int64_t id = 0;

		s->op->mailbox_list(s->self, account, find_rejected, &id,
			&me);
		if (id)
			out[n++] = (struct mr_placement){
				.kind = MR_PLACE_MAILBOX, .mailbox_id = id,
				.account = account, .mailbox = "Rejected",
				.received_ms = clock_wall()};
	}
	return n;
}

/* Without the line ends that an answer of several lines has. */
static void
add_line(struct buf *b, const char *name, struct str value)
{
	size_t i;

	buf_addf(b, "%s: ", name);
	for (i = 0; i < value.len; i++)
		buf_addc(b, (unsigned char)value.at[i] < ' ' ? ' ' :
			value.at[i]);
	buf_adds(b, "\r\n");
}

static void
write_header(struct smtp *k, struct message *m, struct str answer,
	struct buf *out)
{
	char peer[SOCK_TEXT];
	struct message_field f;
	size_t i;

	sock_host(&k->session->peer, peer);
	add_line(out, "X-Mailroom-Refused", answer);
	add_line(out, "X-Mailroom-Client", str_from(peer));
	add_line(out, "X-Mailroom-Sender", k->envelope.sender);
	for (i = 0; i < k->envelope.n_rcpt && i < RCPTS_MOST; i++)
		add_line(out, "X-Mailroom-Recipient",
			k->envelope.rcpt[i].address);
	for (i = 0; message_field(m, i, &f); i++) {
		if (out->len + f.name.len + f.value.len > HEADER_MOST)
			break;
		buf_addf(out, "%.*s:%.*s\r\n", STR_ARGS(f.name),
			STR_ARGS(f.value));
	}
	buf_adds(out, "\r\n");
}

static void
keep(struct smtp *k, struct str text, struct mr_placement *place, size_t n)
{
	const struct store *s = &k->house->store;
	struct mr_piece piece = {.mem = text.at, .fd = -1,
		.length = text.len};
	char trace[TRACE_LENGTH + 1], peer[SOCK_TEXT];
	struct mr_commit c = {.size = sizeof c, .trace = trace,
		.place = place, .n_place = n};
	struct mr_error me = {{0}};
	struct err e = {0};
	size_t i;

	sock_host(&k->session->peer, peer);
	c.origin = arena_printf(&k->message, "refused %s", peer);
	enc_random_word(trace, TRACE_LENGTH);
	if (submit_describe(&c, &piece, 1, &k->message, &e) < 0)
		return;
	if (s->op->commit(s->self, &c, &me) != MR_STORE_OK) {
		log_warn("smtp.rejected", LOG_S("session", k->session->id),
			LOG_S("error", me.text));
		return;
	}
	for (i = 0; i < n; i++)
		if (place[i].out_uid % TRIM_EACH == 0)
			imap_admin_trim(s, place[i].out_mailbox_id);
}

void
smtp_keep_rejected(struct smtp *k, struct message *m, struct str answer)
{
	struct mr_placement place[ADMINS_MOST];
	struct buf text;
	size_t n;

	if (!k->house->imap || !k->house->imap->admins.n || *k->account ||
		!may_keep())
		return;
	n = find_places(k, place);
	if (!n)
		return;
	buf_init(&text, 2 * HEADER_MOST);
	write_header(k, m, answer, &text);
	if (!text.full)
		keep(k, buf_str(&text), place, n);
	buf_free(&text);
}
