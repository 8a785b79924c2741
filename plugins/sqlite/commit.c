/*
 * commit.c - a message comes in: its bytes once, then a row for each place it
 * goes to, all in one change.
 *
 * The hot path of the house. The change is bare (writer.c): everything that
 * may refuse the message is asked before the first row is written. Only a
 * mailbox that must be made first needs a savepoint.
 */
#include "engine.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BLOCK (128 << 10)
#define FEW 8			/* placements that need no allocation */

/* ------------------------------------------------------------ the bytes */

static int
spool_row(const struct mr_commit *c, struct sq_spooled *out,
	struct mr_error *err)
{
	if (c->n_piece == 1 && c->piece[0].fd < 0) {
		out->row = c->piece[0].mem;
		return MR_STORE_OK;
	}
	out->row = out->own = sq_alloc(c->length);
	return sq_pieces_read(c->piece, c->n_piece, out->own, err);
}

/* Large bytes that are here already are not written again. A digest of zeros
 * is one that nobody has made. */
static int
find_same(struct sq *s, const struct mr_commit *c, int64_t *message,
	struct mr_error *err)
{
	static const uint8_t none[sizeof c->sha256];
	struct sq_db *db;
	int code;

	if (memcmp(c->sha256, none, sizeof none) == 0)
		return MR_STORE_MISSING;
	db = sq_read(s, err);
	if (!db)
		return MR_STORE_FAILED;
	code = sq_number(db, err, message, "SELECT id FROM message"
		" WHERE segment > 0 AND sha256 = ? AND length = ? LIMIT 1",
		"bi", c->sha256, sizeof c->sha256, (int64_t)c->length);
	sq_read_end(s, db);
	return code;
}

/* Bytes that a disk has changed are no reason to do without those that come
 * now, from a backup perhaps. */
static bool
is_whole(struct sq *s, int64_t message, const struct mr_commit *c)
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	uint8_t *block = sq_alloc(BLOCK), found[sizeof c->sha256];
	uint64_t length = 0, at = 0;
	struct mr_error err;
	void *body = NULL;
	int64_t n = 1;

	EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
	if (sq_body_open(s, message, &body, &length, &err) != MR_STORE_OK)
		n = 0;
	while (n > 0 && at < length) {
		n = sq_body_read(body, at, block, BLOCK, &err);
		if (n > 0)
			EVP_DigestUpdate(digest, block, (size_t)n);
		at += n > 0 ? (uint64_t)n : 0;
	}
	if (body)
		sq_body_close(body);
	EVP_DigestFinal_ex(digest, found, NULL);
	EVP_MD_CTX_free(digest);
	free(block);
	return n > 0 && memcmp(found, c->sha256, sizeof found) == 0;
}

int
sq_commit_write(struct sq *s, const struct mr_commit *c,
	struct sq_spooled *out, struct mr_error *err)
{
	uint64_t sum = 0;
	size_t i;
	int code;

	*out = (struct sq_spooled){.segment = 0};
	for (i = 0; i < c->n_piece; i++)
		sum += c->piece[i].length;
	if (sum != c->length)
		return sq_fail(err, MR_STORE_INVALID, "the pieces of the "
			"message are not as long as they should be");
	if (c->n_place == 0)
		return MR_STORE_OK;
	if (c->length <= (uint64_t)s->body_in_row)
		return spool_row(c, out, err);
	code = find_same(s, c, &out->same, err);
	if (code != MR_STORE_MISSING && (code != MR_STORE_OK ||
		is_whole(s, out->same, c)))
		return code;
	out->same = 0;
	return sq_segment_append(s->segments, c, out, err);
}

int
sq_commit_write_next(struct sq *s, const struct mr_commit *c,
	struct sq_spooled *out, struct sq_segment **open, struct mr_error *err)
{
	int code = sq_commit_write(s, c, out, err);

	if (code != MR_STORE_OK || !out->held || out->held == *open)
		return code;
	if (*open)
		code = sq_segment_flush(*open, err);
	*open = out->held;
	return code;
}

int
sq_commit_spool(struct sq *s, const struct mr_commit *c,
	struct sq_spooled *out, struct mr_error *err)
{
	int code = sq_commit_write(s, c, out, err);

	if (code != MR_STORE_OK || !out->held)
		return code;
	code = sq_segment_flush(out->held, err);
	if (code != MR_STORE_OK)	/* no row will point there */
		sq_spooled_free(out, MR_STORE_STOPPED);
	return code;
}

void
sq_spooled_free(struct sq_spooled *b, int code)
{
	bool is_needed = code == MR_STORE_OK || code == MR_STORE_FAILED;

	if (b->held)
		sq_segment_let_go(b->held, b->offset, b->length, !is_needed);
	free(b->own);
	*b = (struct sq_spooled){.segment = 0};
}

/* ---------------------------------------------------- where it is to go */

static int
query_place(struct sq_db *db, sqlite3_stmt *st, struct sq_place *out,
	struct mr_error *err)
{
	int code = sqlite3_step(st);

	if (code == SQLITE_ROW)
		*out = (struct sq_place){
			.mailbox = sqlite3_column_int64(st, 0),
			.account = sqlite3_column_int64(st, 1),
			.is_bounded = sqlite3_column_int(st, 2)};
	else if (code != SQLITE_DONE)
		sq_fail_db(err, db, "finding a mailbox");
	sqlite3_reset(st);
	return code == SQLITE_ROW ? MR_STORE_OK : code == SQLITE_DONE ?
		MR_STORE_MISSING : MR_STORE_FAILED;
}

static int
find_by_id(struct sq_tx *tx, int64_t id, struct sq_place *out,
	struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(tx->db, "SELECT m.id, a.id,"
		SQ_IS_BOUNDED "FROM mailbox m JOIN account a ON a.id = m.account"
		" WHERE m.id = ?");
	int code;

	sq_bind(st, "i", id);
	code = query_place(tx->db, st, out, err);
	return code == MR_STORE_MISSING ? sq_fail(err, code,
		"the mailbox is not there") : code;
}

static int
make_mailbox(struct sq_tx *tx, const char *account, const char *name,
	struct sq_place *out, struct mr_error *err)
{
	int64_t bounded = 0;
	int code = sq_account_id(tx->db, account, &out->account, err);

	if (code == MR_STORE_OK)
		code = sq_tx_guard(tx, err);
	if (code == MR_STORE_OK)
		code = sq_mailbox_make(tx, out->account, name, 0,
			&out->mailbox, err);
	if (code == MR_STORE_OK)
		code = sq_number(tx->db, err, &bounded, "SELECT" SQ_IS_BOUNDED
			"FROM account a WHERE id = ?", "i", out->account);
	out->is_bounded = bounded != 0;
	return code;
}

static int
find_by_name(struct sq_tx *tx, const struct mr_placement *p,
	struct sq_place *out, struct mr_error *err)
{
	const char *name = strcasecmp(p->mailbox, "INBOX") ? p->mailbox :
		"INBOX";
	sqlite3_stmt *st;
	int code;

	if (sq_known_find(sq_tx_known(tx), p->account, name, out))
		return MR_STORE_OK;
	st = sq_sql(tx->db, "SELECT m.id, a.id," SQ_IS_BOUNDED
		"FROM account a JOIN mailbox m ON m.account = a.id"
		" WHERE a.name = ? AND m.name = ?");
	sq_bind(st, "ss", p->account, name);
	code = query_place(tx->db, st, out, err);
	if (code == MR_STORE_MISSING)
		code = p->create ? make_mailbox(tx, p->account, name, out,
			err) : sq_fail(err, code, "%s has no mailbox %s",
			p->account, name);
	if (code == MR_STORE_OK)
		sq_known_keep(sq_tx_known(tx), p->account, name, out);
	return code;
}

static int
find_places(struct sq_tx *tx, const struct mr_commit *c, struct sq_place *out,
	struct mr_error *err)
{
	int code = MR_STORE_OK;
	size_t i;

	for (i = 0; i < c->n_place && code == MR_STORE_OK; i++) {
		const struct mr_placement *p = &c->place[i];

		if (p->kind == MR_PLACE_QUEUE)
			out[i] = (struct sq_place){.account = 0};
		else if (p->mailbox_id)
			code = find_by_id(tx, p->mailbox_id, &out[i], err);
		else
			code = find_by_name(tx, p, &out[i], err);
	}
	return code;
}

/* An account may be there several times, in several mailboxes. */
static int
check_quota(struct sq_tx *tx, const struct mr_commit *c,
	const struct sq_place *place, struct mr_error *err)
{
	uint64_t messages;
	size_t i, k;
	int code = MR_STORE_OK;

	for (i = 0; i < c->n_place && code == MR_STORE_OK; i++) {
		if (!place[i].is_bounded)
			continue;
		messages = 0;
		for (k = 0; k < c->n_place; k++)
			messages += place[k].account == place[i].account;
		code = sq_quota_check(tx->db, place[i].account,
			messages * c->length, messages, err);
	}
	return code;
}

/* ------------------------------------------------------------- the rows */

/* Removed a moment ago it comes back to life; collected it is gone. */
static int
share_message(struct sq_tx *tx, const struct mr_commit *c,
	struct sq_spooled *body, int64_t *id, struct mr_error *err)
{
	int code = sq_message_hold(tx, body->same, (int64_t)c->n_place, err);

	*id = body->same;
	body->is_stale = code == MR_STORE_MISSING;
	return code;
}

static int
insert_message(struct sq_tx *tx, const struct mr_commit *c,
	const struct sq_spooled *body, int64_t *id, struct mr_error *err)
{
	int code = sq_run(tx->db, err, "INSERT INTO message"
		" (refs, length, segment, offset, sha256)"
		" VALUES (?, ?, ?, ?, ?)", "iiiib", (int64_t)c->n_place,
		(int64_t)c->length, body->segment, body->offset, c->sha256,
		sizeof c->sha256);

	*id = sqlite3_last_insert_rowid(tx->db->handle);
	if (code == MR_STORE_OK && !body->segment)
		code = sq_run(tx->db, err, "INSERT INTO body VALUES (?, ?)",
			"ib", *id, body->row, (size_t)c->length);
	if (code == MR_STORE_OK && c->cache.len)
		code = sq_run(tx->db, err, "INSERT INTO cache VALUES (?, ?)",
			"ib", *id, c->cache.at, c->cache.len);
	return code;
}

/* A core that is older than this plugin gives none. */
static const char *
life_of(const struct mr_commit *c)
{
	return MR_HAS(c, life) ? c->life : NULL;
}

/* uid and modseq for one message more. */
static int
count_up(struct sq_tx *tx, const struct mr_commit *c, struct mr_placement *p,
	int64_t *modseq, struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(tx->db, "UPDATE mailbox SET"
		" uidnext = uidnext + 1, modseq = modseq + 1,"
		" messages = messages + 1, unseen = unseen + ?2,"
		" bytes = bytes + ?3 WHERE id = ?1"
		" RETURNING uidnext - 1, uidvalidity, modseq");
	int code = MR_STORE_OK;

	sq_bind(st, "iii", p->out_mailbox_id,
		(int64_t)!(p->flags & MR_FLAG_SEEN), (int64_t)c->length);
	if (sqlite3_step(st) == SQLITE_ROW) {
		p->out_uid = (uint32_t)sqlite3_column_int64(st, 0);
		p->out_uidvalidity = (uint32_t)sqlite3_column_int64(st, 1);
		*modseq = sqlite3_column_int64(st, 2);
	} else {
		code = sq_fail_db(err, tx->db, "counting a message");
	}
	sqlite3_reset(st);
	return code;
}

static int
place_in_mailbox(struct sq_tx *tx, const struct mr_commit *c,
	struct mr_placement *p, int64_t message, struct mr_error *err)
{
	const char *life = p == c->place ? life_of(c) : NULL;
	const char *words = p->keywords && *p->keywords ? p->keywords : NULL;
	int64_t modseq = 0;
	int code = count_up(tx, c, p, &modseq, err);

	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "INSERT INTO entry (mailbox, uid,"
			" flags, modseq, message, length, received_ms,"
			" keywords, saved_ms, sent_ms, sent_zone)"
			" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			"iiiiiiisiii", p->out_mailbox_id, (int64_t)p->out_uid,
			(int64_t)p->flags, modseq, message,
			(int64_t)c->length, p->received_ms, words, tx->now_ms,
			c->sent.ms, (int64_t)c->sent.zone);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "INSERT INTO ledger (at_ms, trace,"
			" event, origin, sender, rcpt, mailbox, uid, life)"
			" VALUES (?, ?, 'delivered', ?, ?, ?, ?, ?, ?)",
			"issssiis", tx->now_ms, c->trace, c->origin, p->sender,
			p->account, p->out_mailbox_id, (int64_t)p->out_uid,
			life);
	if (code == MR_STORE_OK)
		sq_changed(tx, MR_CHANGE_MAILBOX, p->out_mailbox_id,
			(uint64_t)modseq);
	return code;
}

static int
place_in_queue(struct sq_tx *tx, const struct mr_commit *c,
	struct mr_placement *p, int64_t message, struct mr_error *err)
{
	int64_t state = p->held ? MR_HELD : MR_QUEUED;
	const char *next_hop = p->next_hop ? p->next_hop : "";
	int code = sq_run(tx->db, err, "INSERT INTO queue (message, length,"
		" state, created_ms, next_ms, expire_ms, trace, sender, rcpt,"
		" next_hop, dsn, reply)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"iiiiiissssss", message, (int64_t)c->length, state, tx->now_ms,
		p->next_ms, p->expire_ms, c->trace, p->sender, p->rcpt,
		next_hop, p->dsn, p->held ? p->reason : NULL);

	p->out_queue_id = sqlite3_last_insert_rowid(tx->db->handle);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "INSERT INTO ledger (at_ms, trace,"
			" event, origin, sender, rcpt, queue, detail, life)"
			" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", "isssssiss",
			tx->now_ms, c->trace, p->held ? "held" : "queued",
			c->origin, p->sender, p->rcpt, p->out_queue_id,
			p->held ? p->reason : next_hop,
			p == c->place ? life_of(c) : NULL);
	if (code == MR_STORE_OK)
		sq_changed(tx, MR_CHANGE_QUEUE, 0, 0);
	return code;
}

static int
note_discarded(struct sq_tx *tx, const struct mr_commit *c,
	struct mr_error *err)
{
	return sq_run(tx->db, err, "INSERT INTO ledger (at_ms, trace, event,"
		" origin, detail, life) VALUES (?, ?, 'discarded', ?, ?, ?)",
		"issss", tx->now_ms, c->trace, c->origin, c->discarded_by,
		life_of(c));
}

int
sq_commit_message(struct sq_tx *tx, const struct mr_commit *c,
	struct sq_spooled *body, int64_t *message, struct mr_error *err)
{
	return body->same ? share_message(tx, c, body, message, err) :
		insert_message(tx, c, body, message, err);
}

static int
insert_all(struct sq_tx *tx, struct mr_commit *c, struct sq_spooled *body,
	const struct sq_place *place, struct mr_error *err)
{
	int64_t message;
	int code = sq_commit_message(tx, c, body, &message, err);
	size_t i;

	for (i = 0; i < c->n_place && code == MR_STORE_OK; i++) {
		struct mr_placement *p = &c->place[i];

		p->out_mailbox_id = place[i].mailbox;
		code = p->kind == MR_PLACE_QUEUE ?
			place_in_queue(tx, c, p, message, err) :
			place_in_mailbox(tx, c, p, message, err);
	}
	return code;
}

int
sq_commit_place(struct sq_tx *tx, struct mr_commit *c,
	struct sq_spooled *body, struct mr_error *err)
{
	struct sq_place few[FEW], *place = few;
	int code;

	if (c->n_place == 0)
		return note_discarded(tx, c, err);
	if (c->n_place > FEW)
		place = sq_alloc(c->n_place * sizeof *place);
	code = find_places(tx, c, place, err);
	if (code == MR_STORE_OK)
		code = check_quota(tx, c, place, err);
	if (code == MR_STORE_OK)
		code = insert_all(tx, c, body, place, err);
	if (place != few)
		free(place);
	return code;
}

/* --------------------------------------------------------------- commit */

struct job {
	struct mr_commit *commit;
	struct sq_spooled body;
};

static int
run_commit(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct job *j = arg;

	return sq_commit_place(tx, j->commit, &j->body, err);
}

int
sq_commit_check(const struct mr_commit *c, struct mr_error *err)
{
	size_t i;

	if (!c->trace || (c->n_place == 0 && !c->discarded_by))
		return sq_fail(err, MR_STORE_INVALID,
			"a message without a place or a trace");
	for (i = 0; i < c->n_place; i++) {
		const struct mr_placement *p = &c->place[i];

		if (p->kind == MR_PLACE_QUEUE ? !p->sender || !p->rcpt :
			p->kind != MR_PLACE_MAILBOX || (!p->mailbox_id &&
			(!p->account || !p->mailbox)))
			return sq_fail(err, MR_STORE_INVALID,
				"placement %zu is not whole", i);
	}
	return MR_STORE_OK;
}

int
sq_commit(void *self, struct mr_commit *c, struct mr_error *err)
{
	struct sq *s = self;
	struct job j = {.commit = c};
	int code = sq_commit_check(c, err);
	bool again = code == MR_STORE_OK;

	while (again) {
		code = sq_commit_spool(s, c, &j.body, err);
		if (code == MR_STORE_OK)
			code = sq_write_bare(s, run_commit, &j, err);
		again = j.body.is_stale;
		sq_spooled_free(&j.body, code);
	}
	return code;
}
