/*
 * report_box.c - from accounts to mailboxes to messages to reports. One message
 * is in memory at a time.
 */
#include "proc/report_box.h"

#include "base/clock.h"
#include "report/find.h"
#include "report/unpack.h"

#define DAYS 30
#define DAY_MS 86400000ll

struct walk {
	struct cli *cli;
	const struct report_box *box;
	void (*each)(void *arg, json_t *report);
	void *arg;
	unsigned messages;
	struct buf ids;		/* int64_t each */
	struct mr_error me;
};

int
report_box_args(int argc, char **argv, struct report_box *out)
{
	uint64_t days = DAYS;
	int i, n = 0;

	*out = (struct report_box){.mailbox = "Reports"};
	for (i = 0; i < argc; i++) {
		const char **into = !strcmp(argv[i], "--account") ?
			&out->account : !strcmp(argv[i], "--mailbox") ?
			&out->mailbox : NULL;
		bool is_days = !strcmp(argv[i], "--days");

		if (!into && !is_days) {
			argv[n++] = argv[i];
			continue;
		}
		if (++i == argc || (is_days && (!str_u64(str_from(argv[i]),
			36500, &days) || !days)))
			return -1;
		if (into)
			*into = argv[i];
	}
	out->since_ms = clock_wall() - (int64_t)days * DAY_MS;
	return n;
}

static int
read_body(struct walk *w, int64_t id, struct buf *out)
{
	const struct mr_store *op = w->cli->store.op;
	char piece[65536];
	uint64_t length, at = 0;
	void *body;
	int64_t n;
	int code = op->body_open(w->cli->store.self, id, &body, &length,
		&w->me);

	if (code != MR_STORE_OK)
		return code;
	while ((n = op->body_read(body, at, piece, sizeof piece, &w->me)) > 0 &&
		at < UNPACK_MOST) {
		buf_add(out, piece, (size_t)n);
		at += (uint64_t)n;
	}
	op->body_close(body);
	return n < 0 ? MR_STORE_FAILED : MR_STORE_OK;
}

static int
take_row(void *arg, const struct mr_row *row)
{
	struct walk *w = arg;

	if (row->received_ms >= w->box->since_ms)
		buf_add(&w->ids, &row->message_id, sizeof row->message_id);
	return 0;
}

/* One that was removed meanwhile is passed over. */
static int
read_one(struct walk *w, int64_t id)
{
	struct buf message;
	int code;

	buf_init(&message, BUF_NO_CAP);
	code = read_body(w, id, &message);
	if (code == MR_STORE_OK) {
		report_find(buf_str(&message), w->each, w->arg);
		w->messages++;
	}
	buf_free(&message);
	return code == MR_STORE_MISSING ? MR_STORE_OK : code;
}

/* The ids first: the list is not held open while mail is read. */
static int
read_account(struct walk *w, const char *account)
{
	struct store *s = &w->cli->store;
	struct mr_mailbox m;
	int64_t id;
	size_t at;
	int code = s->op->mailbox_find(s->self, account, w->box->mailbox, &m,
		&w->me);

	if (code == MR_STORE_MISSING && !w->box->account)
		return MR_STORE_OK;
	buf_reset(&w->ids);
	if (code == MR_STORE_OK)
		code = s->op->scan(s->self, m.id, NULL, 0, 0, MR_ROW_MESSAGE,
			take_row, w, &w->me);
	for (at = 0; at < w->ids.len && code == MR_STORE_OK; at += sizeof id) {
		memcpy(&id, w->ids.at + at, sizeof id);
		code = read_one(w, id);
	}
	return code;
}

static int
take_account(void *arg, const struct mr_account *a)
{
	buf_add(arg, a->name, strlen(a->name) + 1);
	return 0;
}

static int
read_all(struct walk *w)
{
	struct store *s = &w->cli->store;
	struct buf names;
	size_t at;
	int code;

	buf_init(&names, BUF_NO_CAP);
	code = s->op->account_list(s->self, take_account, &names, &w->me);
	for (at = 0; at < names.len && code == MR_STORE_OK;
		at += strlen(names.at + at) + 1)
		code = read_account(w, names.at + at);
	buf_free(&names);
	return code;
}

int
report_box_read(struct cli *c, const struct report_box *b,
	void (*each)(void *arg, json_t *report), void *arg,
	unsigned *messages)
{
	struct walk w = {.cli = c, .box = b, .each = each, .arg = arg};
	int code;

	buf_init(&w.ids, BUF_NO_CAP);
	code = b->account ? read_account(&w, cli_address(c, b->account)) :
		read_all(&w);
	buf_free(&w.ids);
	*messages = w.messages;
	return code == MR_STORE_OK ? 0 : cli_fail_store("report", code,
		&w.me);
}
