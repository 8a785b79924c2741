/*
 * import.c - mail that was in another store: many messages in one
 * transaction, with the UIDs that they had.
 *
 * What came is remembered in the same transaction, so an import that was cut
 * off at any moment is run again without doubles. Large bodies of a batch
 * are written one after another and share their flush. The writing thread
 * changes; bodies are written by the caller's.
 */
#include "engine.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEY_MOST 100
#define FUTURE_S (10LL * 365 * 86400)

/* ---------------------------------------------------------------- begin */

struct begin {
	const char *account, *name;
	uint32_t uidvalidity;
	int64_t mailbox;
};

/* The counter of new ones goes beyond it, so that the name never meets this
 * UIDVALIDITY again; a value of the far future would use the counter up. */
static int
take_validity(struct sq_tx *tx, const struct begin *b, struct mr_error *err)
{
	int code;

	if (!b->uidvalidity || b->uidvalidity > tx->now_ms / 1000 + FUTURE_S)
		return MR_STORE_OK;
	code = sq_run(tx->db, err, "UPDATE mailbox SET uidvalidity = ?2"
		" WHERE id = ?1 AND uidnext = 1 AND uidvalidity <> ?2", "ii",
		b->mailbox, (int64_t)b->uidvalidity);
	if (code != MR_STORE_OK || !sqlite3_changes(tx->db->handle))
		return code;
	sq_changed(tx, MR_CHANGE_MAILBOX, b->mailbox, 0);
	return sq_run(tx->db, err, "INSERT INTO counter VALUES"
		" ('uidvalidity', ?) ON CONFLICT (name) DO UPDATE"
		" SET value = max(value, excluded.value)", "i",
		(int64_t)b->uidvalidity);
}

static int
run_begin(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct begin *b = arg;
	int64_t account;
	int code = sq_account_id(tx->db, b->account, &account, err);

	if (code != MR_STORE_OK)
		return code;
	code = sq_mailbox_id(tx->db, account, b->name, &b->mailbox, err);
	if (code == MR_STORE_MISSING)
		code = sq_mailbox_make(tx, account, b->name, 0, &b->mailbox,
			err);
	return code == MR_STORE_OK ? take_validity(tx, b, err) : code;
}

int
sq_import_begin(void *self, const char *account, const char *name,
	uint32_t uidvalidity, struct mr_mailbox *out, struct mr_error *err)
{
	struct begin b = {.account = account, .name = name,
		.uidvalidity = uidvalidity};
	int code = sq_write(self, run_begin, &b, err);

	return code == MR_STORE_OK ? sq_mailbox_get(self, b.mailbox, out,
		err) : code;
}

/* --------------------------------------------------------- what is here */

int
sq_imported(void *self, int64_t mailbox, const struct mr_str *key, size_t n,
	uint8_t *there, struct mr_error *err)
{
	struct sq_db *db = sq_read(self, err);
	int64_t one;
	int code = MR_STORE_OK;
	size_t i;

	if (!db)
		return MR_STORE_FAILED;
	for (i = 0; i < n && (code == MR_STORE_OK ||
		code == MR_STORE_MISSING); i++) {
		code = sq_number(db, err, &one, "SELECT 1 FROM imported"
			" WHERE mailbox = ? AND key = ?", "ib", mailbox,
			key[i].at, key[i].len);
		there[i] = code == MR_STORE_OK;
	}
	sq_read_end(self, db);
	return code == MR_STORE_MISSING ? MR_STORE_OK : code;
}

/* --------------------------------------------------------------- import */

struct box {
	int64_t uidvalidity, uidnext, modseq;
	int64_t messages, unseen, bytes;	/* what is added */
};

struct batch {
	const struct mr_import *m;
	struct mr_commit *commit;	/* of each item */
	struct mr_placement place;	/* of all */
	struct sq_spooled *body;
	struct box box;
};

static int
read_box(struct sq_tx *tx, int64_t mailbox, struct box *out,
	struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(tx->db, "SELECT uidvalidity, uidnext,"
		" modseq + 1 FROM mailbox WHERE id = ?");
	int code;

	sq_bind(st, "i", mailbox);
	code = st ? sqlite3_step(st) : SQLITE_ERROR;
	if (code == SQLITE_ROW)
		*out = (struct box){.uidvalidity = sqlite3_column_int64(st, 0),
			.uidnext = sqlite3_column_int64(st, 1),
			.modseq = sqlite3_column_int64(st, 2)};
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		code = sq_fail_db(err, tx->db, "reading a mailbox");
	else
		code = code == SQLITE_ROW ? MR_STORE_OK : sq_fail(err,
			MR_STORE_MISSING, "there is no such mailbox");
	sqlite3_reset(st);
	return code;
}

/* Who knows this UIDVALIDITY may know all UIDs below uidnext: a message that
 * comes now under one of those would not be seen. */
static uint32_t
next_uid(const struct batch *b, const struct mr_import_item *item)
{
	if (b->m->uidvalidity == b->box.uidvalidity &&
		item->uid >= b->box.uidnext)
		return item->uid;
	return (uint32_t)b->box.uidnext;
}

static int
insert_entry(struct sq_tx *tx, struct batch *b, struct mr_import_item *item,
	int64_t message, struct mr_error *err)
{
	const char *words = item->keywords && *item->keywords ?
		item->keywords : NULL;
	uint32_t uid = next_uid(b, item);
	int code;

	if (uid == UINT32_MAX)
		return sq_fail(err, MR_STORE_INVALID,
			"the mailbox has no UIDs left");
	code = sq_run(tx->db, err, "INSERT INTO entry (mailbox, uid, flags,"
		" modseq, message, length, received_ms, keywords, saved_ms,"
		" sent_ms, sent_zone)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "iiiiiiisiii",
		b->m->mailbox, (int64_t)uid, (int64_t)item->flags,
		b->box.modseq, message, (int64_t)item->length,
		item->received_ms, words, tx->now_ms, item->sent.ms,
		(int64_t)item->sent.zone);
	item->out_uid = uid;
	b->box.uidnext = (int64_t)uid + 1;
	b->box.messages++;
	b->box.unseen += !(item->flags & MR_FLAG_SEEN);
	b->box.bytes += (int64_t)item->length;
	return code;
}

static int
take_item(struct sq_tx *tx, struct batch *b, size_t i, struct mr_error *err)
{
	struct mr_import_item *item = &b->m->item[i];
	int64_t message;
	int code = sq_run(tx->db, err, "INSERT OR IGNORE INTO imported"
		" (mailbox, key) VALUES (?, ?)", "ib", b->m->mailbox,
		item->key.at, item->key.len);

	item->out_uid = 0;
	if (code != MR_STORE_OK || !sqlite3_changes(tx->db->handle))
		return code;
	code = sq_commit_message(tx, &b->commit[i], &b->body[i], &message,
		err);
	return code == MR_STORE_OK ? insert_entry(tx, b, item, message, err) :
		code;
}

static int
run_import(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct batch *b = arg;
	int code = read_box(tx, b->m->mailbox, &b->box, err);
	int64_t least = b->m->uidvalidity == b->box.uidvalidity ?
		(int64_t)b->m->uidnext : 0;
	size_t i;

	for (i = 0; i < b->m->n && code == MR_STORE_OK; i++)
		code = take_item(tx, b, i, err);
	if (code != MR_STORE_OK || (!b->box.messages &&
		least <= b->box.uidnext))
		return code;
	code = sq_run(tx->db, err, "UPDATE mailbox SET modseq = ?,"
		" uidnext = max(?, ?), messages = messages + ?,"
		" unseen = unseen + ?, bytes = bytes + ? WHERE id = ?",
		"iiiiiii", b->box.modseq, b->box.uidnext, least,
		b->box.messages, b->box.unseen, b->box.bytes, b->m->mailbox);
	sq_changed(tx, MR_CHANGE_MAILBOX, b->m->mailbox,
		(uint64_t)b->box.modseq);
	return code;
}

/* ------------------------------------------------------------ the bodies */

static int
check(const struct mr_import *m, struct mr_error *err)
{
	size_t i;

	for (i = 0; i < m->n; i++)
		if (!m->item[i].key.len || m->item[i].key.len > KEY_MOST ||
			!m->item[i].length)
			return sq_fail(err, MR_STORE_INVALID,
				"message %zu of the import is not whole", i);
	return MR_STORE_OK;
}

static int
write_bodies(struct sq *s, struct batch *b, struct mr_error *err)
{
	struct sq_segment *open = NULL;
	int code = MR_STORE_OK;
	size_t i;

	for (i = 0; i < b->m->n && code == MR_STORE_OK; i++)
		code = sq_commit_write_next(s, &b->commit[i], &b->body[i],
			&open, err);
	if (code == MR_STORE_OK && open)
		code = sq_segment_flush(open, err);
	return code;
}

/* True: a body that was to be shared went meanwhile. */
static bool
free_bodies(struct batch *b, int code)
{
	bool again = false;
	size_t i;

	for (i = 0; i < b->m->n; i++) {
		bool is_extra = code == MR_STORE_OK && !b->m->item[i].out_uid;

		again |= b->body[i].is_stale;
		sq_spooled_free(&b->body[i], is_extra ? MR_STORE_STOPPED :
			code);
	}
	return again;
}

static void
make_commits(struct batch *b)
{
	size_t i;

	b->place = (struct mr_placement){.kind = MR_PLACE_MAILBOX,
		.mailbox_id = b->m->mailbox};
	for (i = 0; i < b->m->n; i++) {
		const struct mr_import_item *item = &b->m->item[i];

		b->commit[i] = (struct mr_commit){.size = sizeof *b->commit,
			.piece = item->piece, .n_piece = item->n_piece,
			.length = item->length, .cache = item->cache,
			.sent = item->sent,
			.place = &b->place, .n_place = 1};
		memcpy(b->commit[i].sha256, item->sha256,
			sizeof item->sha256);
	}
}

int
sq_import(void *self, const struct mr_import *m, struct mr_error *err)
{
	struct sq *s = self;
	struct batch b = {.m = m};
	int code = check(m, err);
	bool again = code == MR_STORE_OK, is_written;

	b.commit = sq_alloc(m->n * sizeof *b.commit);
	b.body = sq_alloc(m->n * sizeof *b.body);
	make_commits(&b);
	while (again) {
		code = write_bodies(s, &b, err);
		is_written = code == MR_STORE_OK;
		if (is_written)
			code = sq_write(s, run_import, &b, err);
		again = free_bodies(&b, is_written ? code : MR_STORE_STOPPED);
	}
	free(b.commit);
	free(b.body);
	return code;
}
