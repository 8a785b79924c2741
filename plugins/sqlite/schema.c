/*
 * schema.c - the tables and how an older database becomes today's.
 *
 * Each step is run once, in its own transaction, and raises user_version by
 * one. A step that was released is never changed: a new one is added behind.
 * Runs at open, in whichever process comes first, under the write lock.
 */
#include "sq.h"

/* Names of accounts and domains are lower case. An entry is a message in a
 * mailbox: a narrow row, so that 100,000 of them are read in milliseconds.
 * The message, its body and the cache of its structure stand apart; refs
 * counts entries and queue rows, dead_ms is set when it becomes 0. */
static const char *const step[] = {
	"CREATE TABLE domain (name TEXT PRIMARY KEY) WITHOUT ROWID;"
	"CREATE TABLE account (id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" name TEXT NOT NULL UNIQUE, password TEXT NOT NULL,"
	" quota INTEGER NOT NULL DEFAULT 0,"
	" disabled INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE alias (address TEXT NOT NULL, target TEXT NOT NULL,"
	" PRIMARY KEY (address, target)) WITHOUT ROWID;"
	"CREATE TABLE mailbox (id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" account INTEGER NOT NULL REFERENCES account(id), name TEXT NOT NULL,"
	" special INTEGER NOT NULL DEFAULT 0, uidvalidity INTEGER NOT NULL,"
	" uidnext INTEGER NOT NULL DEFAULT 1, modseq INTEGER NOT NULL DEFAULT 1,"
	" messages INTEGER NOT NULL DEFAULT 0, unseen INTEGER NOT NULL DEFAULT 0,"
	" bytes INTEGER NOT NULL DEFAULT 0,"
	" recent_uid INTEGER NOT NULL DEFAULT 1, UNIQUE (account, name));"
	"CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL)"
	" WITHOUT ROWID;"
	"CREATE TABLE subscription (account INTEGER NOT NULL, name TEXT NOT NULL,"
	" PRIMARY KEY (account, name)) WITHOUT ROWID;"
	"CREATE TABLE message (id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" refs INTEGER NOT NULL, dead_ms INTEGER, length INTEGER NOT NULL,"
	" segment INTEGER NOT NULL DEFAULT 0, offset INTEGER NOT NULL DEFAULT 0,"
	" sha256 BLOB NOT NULL);"
	"CREATE INDEX message_dead ON message (dead_ms)"
	" WHERE dead_ms IS NOT NULL;"
	"CREATE INDEX message_segment ON message (segment)"
	" WHERE segment > 0;"
	/* Large bodies that come again are found; a small one is not worth
	 * a row in an index. */
	"CREATE INDEX message_large ON message (sha256) WHERE segment > 0;"
	"CREATE TABLE body (message INTEGER PRIMARY KEY, bytes BLOB NOT NULL);"
	"CREATE TABLE cache (message INTEGER PRIMARY KEY, bytes BLOB NOT NULL);"
	"CREATE TABLE entry (mailbox INTEGER NOT NULL, uid INTEGER NOT NULL,"
	" flags INTEGER NOT NULL, modseq INTEGER NOT NULL,"
	" message INTEGER NOT NULL, length INTEGER NOT NULL,"
	" received_ms INTEGER NOT NULL, keywords TEXT,"
	" PRIMARY KEY (mailbox, uid)) WITHOUT ROWID;"
	"CREATE TABLE vanished (mailbox INTEGER NOT NULL, modseq INTEGER NOT NULL,"
	" first INTEGER NOT NULL, last INTEGER NOT NULL,"
	" PRIMARY KEY (mailbox, modseq, first)) WITHOUT ROWID;"
	"CREATE TABLE segment (id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" name TEXT NOT NULL UNIQUE);"
	"CREATE TABLE queue (id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" message INTEGER NOT NULL, length INTEGER NOT NULL,"
	" state INTEGER NOT NULL,"	/* MR_QUEUED, MR_CLAIMED, MR_HELD */
	" attempts INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL,"
	" next_ms INTEGER NOT NULL, expire_ms INTEGER NOT NULL, owner TEXT,"
	" trace TEXT NOT NULL, sender TEXT NOT NULL, rcpt TEXT NOT NULL,"
	" next_hop TEXT NOT NULL, dsn TEXT, reply TEXT);"
	"CREATE INDEX queue_due ON queue (next_ms) WHERE state < 3;"
	"CREATE INDEX queue_group ON queue (message, next_hop);"
	/* One row for each placement and each fate of a queue entry. */
	"CREATE TABLE ledger (id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" at_ms INTEGER NOT NULL, trace TEXT NOT NULL, event TEXT NOT NULL,"
	" origin TEXT, sender TEXT, rcpt TEXT, mailbox INTEGER, uid INTEGER,"
	" queue INTEGER, detail TEXT);",
	/* Small facts of plugins. */
	"CREATE TABLE state (space TEXT NOT NULL, key TEXT NOT NULL,"
	" value BLOB NOT NULL, expires_ms INTEGER NOT NULL,"
	" UNIQUE (space, key));"
	"CREATE INDEX state_expired ON state (expires_ms);",
	/* flow.c: the flows of the queue, each in order of time. */
	"DROP INDEX queue_due;"
	"CREATE INDEX queue_due ON queue (next_ms, state) WHERE state < 3;"
	"CREATE INDEX queue_flow ON queue (next_hop, sender, next_ms,"
	" message, state) WHERE state < 3;",
	/* How a message came and what was done to it; when UIDs vanished,
	 * and up to which modseq they are forgotten. */
	"ALTER TABLE ledger ADD COLUMN life TEXT;"
	"ALTER TABLE vanished ADD COLUMN at_ms INTEGER NOT NULL DEFAULT 0;"
	"UPDATE vanished SET at_ms = strftime('%s', 'now') * 1000;"
	"ALTER TABLE mailbox ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;",
	"CREATE TABLE list (address TEXT PRIMARY KEY, owner TEXT NOT NULL)"
	" WITHOUT ROWID;",
	/* credential.c */
	"CREATE TABLE credential (account INTEGER NOT NULL, name TEXT NOT NULL,"
	" scopes TEXT NOT NULL, digest BLOB NOT NULL, stored1 BLOB NOT NULL,"
	" server1 BLOB NOT NULL, stored256 BLOB NOT NULL,"
	" server256 BLOB NOT NULL, created_ms INTEGER NOT NULL,"
	" used_ms INTEGER NOT NULL, PRIMARY KEY (account, name))"
	" WITHOUT ROWID;"
	"CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL)"
	" WITHOUT ROWID;"
	"INSERT INTO secret VALUES ('scram', randomblob(32));"
	"ALTER TABLE account ADD COLUMN scram_salt BLOB;",
	/* When a message came into its mailbox. Of those that are there already
	 * it is not known: counted from now, nothing of them expires early. */
	"ALTER TABLE entry ADD COLUMN saved_ms INTEGER NOT NULL DEFAULT 0;"
	"UPDATE entry SET saved_ms = strftime('%s', 'now') * 1000;",
	/* metadata.c; mailbox 0: of the store, account 0: shared. */
	"CREATE TABLE metadata (mailbox INTEGER NOT NULL,"
	" account INTEGER NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,"
	" PRIMARY KEY (mailbox, account, name)) WITHOUT ROWID;",
	/* import.c: what came into a mailbox from elsewhere. */
	"CREATE TABLE imported (mailbox INTEGER NOT NULL, key BLOB NOT NULL,"
	" PRIMARY KEY (mailbox, key)) WITHOUT ROWID;",
	/* acl.c; rights are MR_RIGHT_* */
	"CREATE TABLE acl (mailbox INTEGER NOT NULL,"
	" identifier TEXT NOT NULL, rights INTEGER NOT NULL,"
	" PRIMARY KEY (mailbox, identifier)) WITHOUT ROWID;"
	"CREATE INDEX acl_identifier ON acl (identifier);",
	/* entries.c: what changed lately. */
	"CREATE INDEX entry_modseq ON entry (mailbox, modseq);",
	/* index.c: messages that are gone, but perhaps not from the index. */
	"CREATE TABLE unindexed (message INTEGER PRIMARY KEY);",
	/* When it says it was sent; 0: not known here. */
	"ALTER TABLE entry ADD COLUMN sent_ms INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE entry ADD COLUMN sent_zone INTEGER NOT NULL DEFAULT 0;",
	"ALTER TABLE account ADD COLUMN message_quota INTEGER NOT NULL DEFAULT 0;",
	/* metadata.c: which annotations were set or taken away, in order. */
	"CREATE TABLE metadata_change (mailbox INTEGER NOT NULL,"
	" account INTEGER NOT NULL, name TEXT NOT NULL,"
	" changed INTEGER NOT NULL, PRIMARY KEY (mailbox, account, name))"
	" WITHOUT ROWID;"
	"CREATE INDEX metadata_changed ON metadata_change (changed);",
	/* undelete.c: entries as they were, with their mailbox's name. */
	"CREATE TABLE removed (id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" removed_ms INTEGER NOT NULL, mailbox INTEGER NOT NULL,"
	" account INTEGER NOT NULL, name TEXT NOT NULL,"
	" entries BLOB NOT NULL);"
	"CREATE INDEX removed_ms ON removed (removed_ms);"
	"CREATE INDEX removed_account ON removed (account);",
};
#define STEPS (int)(sizeof step / sizeof *step)

static int
version_of(sqlite3 *db)
{
	sqlite3_stmt *st;
	int version = -1;

	if (sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL) !=
		SQLITE_OK)
		return -1;
	if (sqlite3_step(st) == SQLITE_ROW)
		version = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return version;
}

static int
run_step(sqlite3 *db, int n, struct mr_error *err)
{
	char done[64];

	snprintf(done, sizeof done, "PRAGMA user_version = %d; COMMIT", n + 1);
	if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) ==
			SQLITE_OK &&
		sqlite3_exec(db, step[n], NULL, NULL, NULL) == SQLITE_OK &&
		sqlite3_exec(db, done, NULL, NULL, NULL) == SQLITE_OK)
		return MR_STORE_OK;
	sq_fail(err, MR_STORE_FAILED, "making the tables (step %d): %s", n + 1,
		sqlite3_errmsg(db));
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return MR_STORE_FAILED;
}

int
sq_schema(sqlite3 *db, struct mr_error *err)
{
	int version = version_of(db), code;

	if (version < 0)
		return sq_fail(err, MR_STORE_FAILED, "reading the version of "
			"the database: %s", sqlite3_errmsg(db));
	if (version > STEPS)
		return sq_fail(err, MR_STORE_FAILED, "the database is of a "
			"newer release (version %d, this one knows %d)",
			version, STEPS);
	for (; version < STEPS; version++)
		if ((code = run_step(db, version, err)) != MR_STORE_OK)
			return code;
	return MR_STORE_OK;
}
