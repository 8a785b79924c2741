/*
 * fsck.c - is everything in the store what it should be?
 *
 * Most of it is a table of rules: a query that finds what is wrong and says
 * it in a sentence, and a statement that makes it right. A query sees one
 * snapshot. The statement runs later, on the writing thread, and asks again
 * before it changes anything, so both work while mail comes and goes. The
 * bytes of messages are read one by one (fsck_bytes.c).
 */
#include "fsck.h"

#include <stdlib.h>
#include <string.h>

/* A row of a query: id, sentence. The statement has the id as ?1. */
struct rule {
	const char *find, *fix, *advice;
};

#define BOX " 'mailbox ' || m.name || ' of ' || coalesce((SELECT name FROM" \
	" account WHERE id = m.account), '(no account)')"
#define COUNTED "(SELECT count(*) FROM entry e WHERE e.mailbox = m.id)"
#define UNSEEN "(SELECT count(*) FROM entry e WHERE e.mailbox = m.id" \
	" AND e.flags & 1 = 0)"
#define BYTES "(SELECT coalesce(sum(e.length), 0) FROM entry e" \
	" WHERE e.mailbox = m.id)"
#define LAST "(SELECT coalesce(max(e.uid), 0) FROM entry e" \
	" WHERE e.mailbox = m.id)"
#define CHANGED "(SELECT coalesce(max(e.modseq), 1) FROM entry e" \
	" WHERE e.mailbox = m.id)"
#define REFS "((SELECT count(*) FROM entry WHERE message = ?1) +" \
	" (SELECT count(*) FROM queue WHERE message = ?1))"
#define NO_MAILBOX(table, noun) \
	{"SELECT x.mailbox, count(*) || ' " noun " of mailbox ' || x.mailbox" \
	" || ', which is not there' FROM " table " x WHERE x.mailbox > 0 AND" \
	" NOT EXISTS (SELECT 1 FROM mailbox WHERE id = x.mailbox)" \
	" GROUP BY x.mailbox", \
	"DELETE FROM " table " WHERE mailbox = ?1 AND NOT EXISTS" \
	" (SELECT 1 FROM mailbox WHERE id = ?1)", ""}
#define NO_MESSAGE(table, noun) \
	{"SELECT x.message, 'the " noun " of message ' || x.message || ', which" \
	" is not there' FROM " table " x WHERE NOT EXISTS (SELECT 1 FROM" \
	" message WHERE id = x.message)", \
	"DELETE FROM " table " WHERE message = ?1 AND NOT EXISTS" \
	" (SELECT 1 FROM message WHERE id = ?1)", ""}

static const struct rule rules[] = {
	/* Entries first: what is counted below is counted without them. */
	NO_MAILBOX("entry", "messages"),
	{"SELECT e.message, 'UID ' || e.uid || ' in ' ||" BOX " || ' has"
	" message ' || e.message || ', which is not there' FROM entry e"
	" JOIN mailbox m ON m.id = e.mailbox WHERE NOT EXISTS (SELECT 1 FROM"
	" message WHERE id = e.message)",
	"DELETE FROM entry WHERE message = ?1 AND NOT EXISTS (SELECT 1 FROM"
	" message WHERE id = ?1)", ""},
	{"SELECT e.message, 'UID ' || e.uid || ' in ' ||" BOX " || ' says that"
	" it has ' || e.length || ' bytes, its message ' || x.length FROM"
	" entry e JOIN mailbox m ON m.id = e.mailbox JOIN message x ON"
	" x.id = e.message WHERE x.length <> e.length",
	"UPDATE entry SET length = (SELECT length FROM message WHERE id = ?1)"
	" WHERE message = ?1", ""},
	{"SELECT e.mailbox, count(*) || ' messages in ' ||" BOX " || ' have"
	" flags that do not exist' FROM entry e JOIN mailbox m ON m.id ="
	" e.mailbox WHERE e.flags & ~31 <> 0 GROUP BY e.mailbox",
	"UPDATE entry SET flags = flags & 31 WHERE mailbox = ?1 AND"
	" flags & ~31 <> 0", ""},
	{"SELECT e.mailbox, 'a UID of ' || e.uid || ' in ' ||" BOX " FROM entry"
	" e JOIN mailbox m ON m.id = e.mailbox WHERE e.uid < 1 OR"
	" e.uid > 4294967294", NULL, "copy the message and remove it"},
	/* Counters. */
	{"SELECT m.id," BOX " || ' counts ' || m.messages || ' messages, ' ||"
	" m.unseen || ' unseen and ' || m.bytes || ' bytes, and has ' ||"
	" n || ', ' || u || ' and ' || b FROM (SELECT *, " COUNTED " n, "
	UNSEEN " u, " BYTES " b FROM mailbox m) m WHERE n <> m.messages OR"
	" u <> m.unseen OR b <> m.bytes",
	"UPDATE mailbox AS m SET messages = " COUNTED ", unseen = " UNSEEN
	", bytes = " BYTES " WHERE id = ?1", ""},
	{"SELECT m.id," BOX " || ' would give the UID ' || m.uidnext || ' next,"
	" and has one of ' || " LAST " FROM mailbox m WHERE m.uidnext <= " LAST,
	"UPDATE mailbox AS m SET uidnext = " LAST " + 1 WHERE id = ?1 AND"
	" uidnext <= " LAST, ""},
	{"SELECT m.id," BOX " || ' is at modseq ' || m.modseq || ', and has a"
	" message of ' || " CHANGED " FROM mailbox m WHERE m.modseq < " CHANGED,
	"UPDATE mailbox AS m SET modseq = " CHANGED " WHERE id = ?1 AND"
	" modseq < " CHANGED, ""},
	{"SELECT m.id," BOX " || ' has UIDVALIDITY ' || m.uidvalidity"
	" FROM mailbox m WHERE m.uidvalidity NOT BETWEEN 1 AND 4294967295",
	"UPDATE mailbox SET uidvalidity = strftime('%s', 'now') WHERE id = ?1"
	" AND uidvalidity NOT BETWEEN 1 AND 4294967295", ""},
	{"SELECT m.id," BOX " || ' belongs to nobody' FROM mailbox m WHERE"
	" NOT EXISTS (SELECT 1 FROM account WHERE id = m.account)", NULL,
	"its mail can be restored from a backup"},
	{"SELECT a.id, 'account ' || a.name || ' has no INBOX' FROM account a"
	" WHERE NOT EXISTS (SELECT 1 FROM mailbox WHERE account = a.id AND"
	" name = 'INBOX')", "INSERT INTO mailbox (account, name, uidvalidity)"
	" SELECT id, 'INBOX', strftime('%s', 'now') FROM account WHERE id = ?1"
	" AND NOT EXISTS (SELECT 1 FROM mailbox WHERE account = ?1 AND"
	" name = 'INBOX')", ""},
	/* References. A message that is dead is collected soon: one that is
	 * referred to must not be. */
	{"SELECT x.id, 'message ' || x.id || ' counts ' || x.refs ||"
	" ' references, and has ' || coalesce(r.n, 0) FROM message x LEFT JOIN"
	" (SELECT message, sum(n) n FROM (SELECT message, count(*) n FROM"
	" entry GROUP BY message UNION ALL SELECT message, count(*) FROM queue"
	" GROUP BY message) GROUP BY message) r ON r.message = x.id WHERE"
	" x.refs <> coalesce(r.n, 0)",
	"UPDATE message SET refs = " REFS ", dead_ms = CASE WHEN " REFS
	" = 0 THEN coalesce(dead_ms, strftime('%s', 'now') * 1000) END"
	" WHERE id = ?1", ""},
	{"SELECT x.id, 'message ' || x.id || ' is marked as removed, and is in"
	" use' FROM message x WHERE x.dead_ms IS NOT NULL AND x.refs > 0",
	"UPDATE message SET dead_ms = NULL WHERE id = ?1 AND refs > 0", ""},
	{"SELECT x.id, 'message ' || x.id || ' is in use nowhere, and not"
	" marked as removed' FROM message x WHERE x.dead_ms IS NULL AND"
	" x.refs <= 0", "UPDATE message SET dead_ms = strftime('%s', 'now') *"
	" 1000 WHERE id = ?1 AND refs <= 0", ""},
	NO_MESSAGE("body", "bytes"),
	NO_MESSAGE("cache", "structure"),
	{"SELECT q.id, 'queue entry ' || q.id || ' to ' || q.rcpt || ' has"
	" message ' || q.message || ', which is not there' FROM queue q WHERE"
	" NOT EXISTS (SELECT 1 FROM message WHERE id = q.message)", NULL,
	"mailroom queue drop, and tell the sender"},
	/* Segments. */
	{"SELECT x.id, 'message ' || x.id || ' is in segment ' || x.segment ||"
	" ', which is not there' FROM message x WHERE x.segment > 0 AND NOT"
	" EXISTS (SELECT 1 FROM segment WHERE id = x.segment)", NULL,
	"mailroom restore"},
	{"SELECT id, 'messages ' || id || ' and ' || before || ' have bytes in"
	" common in segment ' || segment FROM (SELECT id, segment, offset,"
	" lag(id) OVER w before, lag(offset + length) OVER w ends FROM message"
	" WHERE segment > 0 WINDOW w AS (PARTITION BY segment ORDER BY offset))"
	" WHERE offset < ends", NULL, "mailroom restore"},
	/* What goes with a mailbox or an account. */
	NO_MAILBOX("vanished", "notes of removed messages"),
	NO_MAILBOX("imported", "notes of imported messages"),
	NO_MAILBOX("metadata", "annotations"),
	NO_MAILBOX("metadata_change", "notes of annotations"),
	NO_MAILBOX("acl", "rights"),
	{"SELECT x.account, count(*) || ' subscriptions of account ' ||"
	" x.account || ', which is not there' FROM subscription x WHERE NOT"
	" EXISTS (SELECT 1 FROM account WHERE id = x.account) GROUP BY"
	" x.account", "DELETE FROM subscription WHERE account = ?1 AND NOT"
	" EXISTS (SELECT 1 FROM account WHERE id = ?1)", ""},
	{"SELECT x.account, count(*) || ' app passwords of account ' ||"
	" x.account || ', which is not there' FROM credential x WHERE NOT"
	" EXISTS (SELECT 1 FROM account WHERE id = x.account) GROUP BY"
	" x.account", "DELETE FROM credential WHERE account = ?1 AND NOT"
	" EXISTS (SELECT 1 FROM account WHERE id = ?1)", ""},
};

/* --------------------------------------------------------------- finding */

void
sq_fsck_found(struct sq_fsck *k, const char *text, bool is_repaired,
	const char *advice)
{
	struct mr_finding f = {text, is_repaired, is_repaired ? "" : advice};

	if (k->out->found)
		k->out->found(k->out->arg, &f);
}

struct found {
	int64_t id;
	char *text;
};

struct fix {
	const struct rule *rule;
	const struct found *found;
	size_t n;
};

static int
run_fix(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct fix *f = arg;
	int code = MR_STORE_OK;
	size_t i;

	for (i = 0; i < f->n && code == MR_STORE_OK; i++)
		code = sq_run(tx->db, err, f->rule->fix, "i",
			f->found[i].id);
	sq_changed(tx, MR_CHANGE_MAILBOX, 0, 0);
	return code;
}

#define SOME 500		/* repaired by one change */

static int
tell(struct sq_fsck *k, const struct rule *r, struct found *found, size_t n,
	struct mr_error *err)
{
	struct fix f = {.rule = r, .found = found, .n = n};
	bool repair = r->fix && k->out->repair;
	int code = repair ? sq_write(k->sq, run_fix, &f, err) : MR_STORE_OK;
	size_t i;

	for (i = 0; i < n; i++) {
		sq_fsck_found(k, found[i].text, repair && code == MR_STORE_OK,
			r->fix ? "mailroom fsck --repair" : r->advice);
		free(found[i].text);
	}
	return code;
}

/* Up to SOME rows; what a statement repaired is not found again. */
static int
find_some(struct sq_fsck *k, const struct rule *r, struct found *found,
	size_t most, size_t *n, struct mr_error *err)
{
	sqlite3_stmt *st;
	int code, step = SQLITE_DONE;

	*n = 0;
	code = sq_run(k->db, err, "BEGIN", "");
	if (code != MR_STORE_OK)
		return code;
	st = sq_sql(k->db, r->find);
	if (!st)
		code = sq_fail_db(err, k->db, "checking");
	while (st && *n < most && (step = sqlite3_step(st)) == SQLITE_ROW)
		found[(*n)++] = (struct found){sqlite3_column_int64(st, 0),
			sq_printf("%s", sq_text(st, 1))};
	if (st && step != SQLITE_DONE && step != SQLITE_ROW)
		code = sq_fail_db(err, k->db, "checking");
	sqlite3_reset(st);
	sq_run(k->db, NULL, "COMMIT", "");
	return code;
}

static int
run_rule(struct sq_fsck *k, const struct rule *r, struct mr_error *err)
{
	bool again = k->out->repair && r->fix;
	size_t most = again ? SOME : 10000, n = 0;
	struct found *found = sq_alloc(most * sizeof *found);
	int code, rounds = 0;

	do {
		code = find_some(k, r, found, most, &n, err);
		if (code == MR_STORE_OK)
			code = tell(k, r, found, n, err);
	} while (code == MR_STORE_OK && again && n == most &&
		rounds++ < 10000);
	free(found);
	return code;
}

/* ------------------------------------------------------------- integrity */

static int
run_reindex(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	(void)arg;
	return sq_run(tx->db, err, "REINDEX", "");
}

/* *bad: rows of the answer that are not "ok". */
static int
check_pages(struct sq_fsck *k, bool is_told, bool is_repaired, size_t *bad,
	struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(k->db, "PRAGMA integrity_check(100)");
	int step = SQLITE_ERROR;

	*bad = 0;
	while (st && (step = sqlite3_step(st)) == SQLITE_ROW) {
		char *text;

		if (!strcmp(sq_text(st, 0), "ok"))
			continue;
		++*bad;
		text = sq_printf("the database: %s", sq_text(st, 0));
		if (is_told)
			sq_fsck_found(k, text, is_repaired, "mailroom restore "
				"from a backup, or mailroom export first");
		free(text);
	}
	if (step != SQLITE_DONE)
		sq_fail_db(err, k->db, "checking the database");
	sqlite3_reset(st);
	return step == SQLITE_DONE ? MR_STORE_OK : MR_STORE_FAILED;
}

/* An index can be made anew from its table; then only what is left is
 * beyond repair. */
static int
check_integrity(struct sq_fsck *k, struct mr_error *err)
{
	size_t before, after = 0;
	int code = check_pages(k, !k->out->repair, false, &before, err);

	if (code != MR_STORE_OK || !before || !k->out->repair)
		return code;
	code = sq_write(k->sq, run_reindex, NULL, err);
	if (code == MR_STORE_OK)
		code = check_pages(k, true, false, &after, err);
	if (code == MR_STORE_OK && after < before) {
		char *text = sq_printf("the database had %zu faults in its "
			"indexes, which were made anew", before - after);

		sq_fsck_found(k, text, true, "");
		free(text);
	}
	return code;
}

/* ------------------------------------------------------------------ run */

int
sq_fsck(void *self, struct mr_fsck *out, struct mr_error *err)
{
	struct sq_fsck k = {.sq = self, .out = out};
	int code;
	size_t i;

	out->messages = out->bytes = out->renewed = 0;
	k.db = sq_db_open(k.sq->path, SQ_READS, err);
	if (!k.db)
		return MR_STORE_FAILED;
	/* Sorting the references of a million messages needs room. */
	sq_run(k.db, NULL, "PRAGMA temp_store = FILE", "");
	code = check_integrity(&k, err);
	for (i = 0; i < sizeof rules / sizeof *rules && code == MR_STORE_OK;
		i++)
		code = run_rule(&k, &rules[i], err);
	if (code == MR_STORE_OK && !out->fast)
		code = sq_fsck_bytes(&k, err);
	sq_db_close(k.db);
	return code;
}
