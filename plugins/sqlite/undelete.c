/*
 * undelete.c - what was expunged stays for `undelete`, and comes back with its
 * flags and dates.
 *
 * Entries that are taken out of a mailbox together are packed into few rows of
 * the table `removed`, because a row for each would double what EXPUNGE costs.
 * The message stays where it is, marked as dead from the time when it may go,
 * so collect.c need not know of this. It does not count to the account
 * meanwhile. The mailbox may be gone by then and is made again. The writing
 * thread, but for the list.
 *
 * An entry is packed as uid 4, flags 4, message 8, length 8, received_ms 8,
 * sent_ms 8, sent_zone 4, length of the keywords 4, the keywords; numbers are
 * big endian.
 */
#include "engine.h"
#include "rows.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 500	/* entries of one row, and of one transaction */
#define HEAD 48

/* --------------------------------------------------------------- packing */

static uint8_t *
put(uint8_t *to, uint64_t n, unsigned bytes)
{
	while (bytes-- > 0)
		*to++ = (uint8_t)(n >> (8 * bytes));
	return to;
}

static uint64_t
take(const uint8_t **from, unsigned bytes)
{
	uint64_t n = 0;

	while (bytes-- > 0)
		n = n << 8 | *(*from)++;
	return n;
}

static size_t
packed_size(const struct entry *e, size_t n)
{
	size_t size = 0, i;

	for (i = 0; i < n; i++)
		size += HEAD + (e[i].keywords ? strlen(e[i].keywords) : 0);
	return size;
}

static uint8_t *
pack(const struct entry *e, size_t n, size_t size)
{
	uint8_t *bytes = sq_alloc(size), *to = bytes;
	size_t i, len;

	for (i = 0; i < n; i++) {
		len = e[i].keywords ? strlen(e[i].keywords) : 0;
		to = put(to, e[i].uid, 4);
		to = put(to, e[i].flags, 4);
		to = put(to, (uint64_t)e[i].message, 8);
		to = put(to, (uint64_t)e[i].length, 8);
		to = put(to, (uint64_t)e[i].received_ms, 8);
		to = put(to, (uint64_t)e[i].sent.ms, 8);
		to = put(to, (uint32_t)e[i].sent.zone, 4);
		to = put(to, len, 4);
		if (len)
			memcpy(to, e[i].keywords, len);
		to += len;
	}
	return bytes;
}

/* The next entry of *from, with keywords of malloc; false at the end. */
static bool
unpack(const uint8_t **from, const uint8_t *end, struct entry *e)
{
	size_t len;

	if (end - *from < HEAD)
		return false;
	*e = (struct entry){.uid = (uint32_t)take(from, 4)};
	e->flags = (uint32_t)take(from, 4);
	e->message = (int64_t)take(from, 8);
	e->length = (int64_t)take(from, 8);
	e->received_ms = (int64_t)take(from, 8);
	e->sent.ms = (int64_t)take(from, 8);
	e->sent.zone = (int32_t)take(from, 4);
	len = take(from, 4);
	if (len > (size_t)(end - *from))
		return false;
	if (len)
		e->keywords = sq_printf("%.*s", (int)len,
			(const char *)*from);
	*from += len;
	return true;
}

/* ------------------------------------------------------------- remembering */

int
sq_removed_keep(struct sq_tx *tx, int64_t mailbox, const struct rows *r,
	struct mr_error *err)
{
	int code = MR_STORE_OK;
	size_t at, n, size;
	uint8_t *bytes;

	for (at = 0; at < r->n && code == MR_STORE_OK; at += n) {
		n = r->n - at < BATCH ? r->n - at : BATCH;
		size = packed_size(&r->item[at], n);
		bytes = pack(&r->item[at], n, size);
		code = sq_run(tx->db, err, "INSERT INTO removed (removed_ms,"
			" mailbox, account, name, entries) SELECT ?1, id,"
			" account, name, ?3 FROM mailbox WHERE id = ?2", "iib",
			tx->now_ms, mailbox, bytes, size);
		free(bytes);
	}
	return code;
}

static int
run_forget(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const int64_t *before_ms = arg;

	return sq_run(tx->db, err, "DELETE FROM removed WHERE id IN (SELECT id"
		" FROM removed WHERE removed_ms < ? LIMIT 100)", "i",
		*before_ms);
}

void
sq_removed_forget(struct sq *s)
{
	int64_t before_ms = sq_clock_wall() - s->undelete, one;
	struct mr_error err;

	if (sq_number(sq_writer_db(s), NULL, &one, "SELECT 1 FROM removed"
		" WHERE removed_ms < ? LIMIT 1", "i", before_ms) ==
		MR_STORE_OK)
		sq_write_now(s, run_forget, &before_ms, &err);
}

/* ------------------------------------------------------------ choosing */

struct batch {
	int64_t id, removed_ms, mailbox;
	char *name;
	struct entry item[BATCH];
	size_t n;
};

static void
batch_free(struct batch *b)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		free(b->item[i].keywords);
	free(b->name);
	free(b);
}

/* The next row behind id `after` that is asked for; MISSING at the end. */
static int
choose(struct sq_db *db, const struct mr_undelete *u, int64_t account,
	int64_t after, struct batch **out, struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(db, "SELECT id, removed_ms, mailbox, name,"
		" entries FROM removed WHERE account = ?1 AND id > ?2"
		" AND removed_ms >= ?3 AND (?4 IS NULL OR name = ?4)"
		" ORDER BY id LIMIT 1");
	const uint8_t *at, *end;
	struct batch *b;
	int step;

	sq_bind(st, "iiis", account, after, u->since_ms, u->mailbox);
	step = st ? sqlite3_step(st) : SQLITE_ERROR;
	if (step == SQLITE_ROW) {
		*out = b = sq_alloc(sizeof *b);
		b->id = sqlite3_column_int64(st, 0);
		b->removed_ms = sqlite3_column_int64(st, 1);
		b->mailbox = sqlite3_column_int64(st, 2);
		b->name = sq_printf("%s", sq_text(st, 3));
		at = sqlite3_column_blob(st, 4);
		end = at + sqlite3_column_bytes(st, 4);
		while (b->n < BATCH && unpack(&at, end, &b->item[b->n]))
			b->n++;
	}
	if (step == SQLITE_ROW || step == SQLITE_DONE)
		step = step == SQLITE_ROW ? MR_STORE_OK : MR_STORE_MISSING;
	else
		step = sq_fail_db(err, db, "reading what was removed");
	sqlite3_reset(st);
	return step;
}

static int
show(struct sq_db *db, const struct mr_undelete *u, const struct batch *b)
{
	int64_t one;
	size_t i;

	for (i = 0; i < b->n; i++) {
		const struct entry *e = &b->item[i];
		const struct mr_removed r = {.size = sizeof r,
			.mailbox = b->name, .uid = e->uid, .flags = e->flags,
			.removed_ms = b->removed_ms,
			.received_ms = e->received_ms,
			.length = (uint64_t)e->length};

		if (sq_number(db, NULL, &one, "SELECT 1 FROM message"
			" WHERE id = ?", "i", e->message) == MR_STORE_OK &&
			u->each(u->arg, &r))
			return MR_STORE_STOPPED;
	}
	return MR_STORE_OK;
}

static int
list(struct sq_db *db, const struct mr_undelete *u, int64_t account,
	struct mr_error *err)
{
	struct batch *b;
	int64_t after = 0;
	int code;

	while ((code = choose(db, u, account, after, &b, err)) ==
		MR_STORE_OK) {
		after = b->id;
		code = show(db, u, b);
		batch_free(b);
		if (code != MR_STORE_OK)
			return code;
	}
	return code == MR_STORE_MISSING ? MR_STORE_OK : code;
}

static int
remove_batch(struct sq_tx *tx, const struct batch *b, struct mr_error *err)
{
	return sq_run(tx->db, err, "DELETE FROM removed WHERE id = ?", "i",
		b->id);
}

/* The account is gone: so is its mail. */
int
sq_removed_drop(struct sq_tx *tx, int64_t account, struct mr_error *err)
{
	const struct mr_undelete all = {.since_ms = 0};
	struct batch *b;
	size_t i;
	int code;

	while ((code = choose(tx->db, &all, account, 0, &b, err)) ==
		MR_STORE_OK) {
		for (i = 0; i < b->n && code == MR_STORE_OK; i++)
			code = sq_run(tx->db, err, "UPDATE message"
				" SET dead_ms = ?1 WHERE id = ?2"
				" AND dead_ms > ?1", "ii", tx->now_ms,
				b->item[i].message);
		if (code == MR_STORE_OK)
			code = remove_batch(tx, b, err);
		batch_free(b);
		if (code != MR_STORE_OK)
			return code;
	}
	return code == MR_STORE_MISSING ? MR_STORE_OK : code;
}

/* ------------------------------------------------------------ restoring */

/* Where it was, whatever that is called by now, or a mailbox of the name that
 * it had. */
static int
find_mailbox(struct sq_tx *tx, const struct batch *b, int64_t account,
	int64_t *id, struct mr_error *err)
{
	int code = sq_number(tx->db, err, id, "SELECT id FROM mailbox"
		" WHERE id = ?", "i", b->mailbox);

	if (code == MR_STORE_MISSING)
		code = sq_mailbox_id(tx->db, account, b->name, id, err);
	if (code == MR_STORE_MISSING)
		code = sq_mailbox_make(tx, account, b->name, 0, id, err);
	return code;
}

static int
count_up(struct sq_tx *tx, const struct entry *e, int64_t mailbox,
	int64_t *uid, int64_t *modseq, struct mr_error *err)
{
	int code = sq_run(tx->db, err, "UPDATE mailbox SET uidnext = uidnext"
		" + 1, modseq = modseq + 1, messages = messages + 1,"
		" unseen = unseen + ?2, bytes = bytes + ?3 WHERE id = ?1",
		"iii", mailbox, (int64_t)!(e->flags & MR_FLAG_SEEN),
		e->length);

	if (code == MR_STORE_OK)
		code = sq_number(tx->db, err, uid, "SELECT uidnext - 1"
			" FROM mailbox WHERE id = ?", "i", mailbox);
	if (code == MR_STORE_OK)
		code = sq_number(tx->db, err, modseq, "SELECT modseq"
			" FROM mailbox WHERE id = ?", "i", mailbox);
	return code;
}

static int
insert(struct sq_tx *tx, const struct entry *e, int64_t mailbox,
	struct mr_error *err)
{
	int64_t uid = 0, modseq = 0;
	int code = sq_message_hold(tx, e->message, 1, err);

	if (code == MR_STORE_OK)
		code = count_up(tx, e, mailbox, &uid, &modseq, err);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "INSERT INTO entry (mailbox, uid,"
			" flags, modseq, message, length, received_ms,"
			" keywords, saved_ms, sent_ms, sent_zone)"
			" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			"iiiiiiisiii",
			mailbox, uid, (int64_t)(e->flags & ~MR_FLAG_DELETED),
			modseq, e->message, e->length, e->received_ms,
			e->keywords, tx->now_ms, e->sent.ms,
			(int64_t)e->sent.zone);
	sq_changed(tx, MR_CHANGE_MAILBOX, mailbox, (uint64_t)modseq);
	return code;
}

static int
restore_batch(struct sq_tx *tx, const struct batch *b, int64_t account,
	uint32_t *restored, struct mr_error *err)
{
	int64_t mailbox = 0;
	int code = find_mailbox(tx, b, account, &mailbox, err);
	size_t i;

	for (i = 0; i < b->n && code == MR_STORE_OK; i++) {
		code = insert(tx, &b->item[i], mailbox, err);
		*restored += code == MR_STORE_OK;
		if (code == MR_STORE_MISSING)
			code = MR_STORE_OK;	/* it was collected */
	}
	return code == MR_STORE_OK ? remove_batch(tx, b, err) : code;
}

struct restoring {
	const struct mr_undelete *u;
	uint32_t restored;	/* in this transaction */
};

static int
run_restore(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct restoring *r = arg;
	struct batch *b;
	int64_t account;
	int code = sq_account_id(tx->db, r->u->account, &account, err);

	r->restored = 0;
	if (code != MR_STORE_OK)
		return code;
	code = choose(tx->db, r->u, account, 0, &b, err);
	if (code == MR_STORE_MISSING)
		return MR_STORE_STOPPED;
	if (code != MR_STORE_OK)
		return code;
	code = restore_batch(tx, b, account, &r->restored, err);
	batch_free(b);
	return code;
}

static int
restore(struct sq *s, struct mr_undelete *u, struct mr_error *err)
{
	struct restoring r = {.u = u};
	int code;

	while ((code = sq_write(s, run_restore, &r, err)) == MR_STORE_OK)
		u->restored += r.restored;
	return code == MR_STORE_STOPPED ? MR_STORE_OK : code;
}

int
sq_undelete(void *self, struct mr_undelete *u, struct mr_error *err)
{
	struct sq_db *db;
	int64_t account;
	int code;

	u->restored = 0;
	if (!u->each)
		return restore(self, u, err);
	db = sq_read(self, err);
	if (!db)
		return MR_STORE_FAILED;
	code = sq_account_id(db, u->account, &account, err);
	if (code == MR_STORE_OK)
		code = list(db, u, account, err);
	sq_read_end(self, db);
	return code;
}
