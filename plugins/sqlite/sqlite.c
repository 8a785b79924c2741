/*
 * sqlite.c - the descriptor of the built-in store: its settings, how it opens
 * and closes, and the table that the core calls.
 *
 * Opening takes one connection, which becomes the writer's. Threads start
 * when there is something for them: the writer's with the first change, the
 * keeper's with a long log, the watching one with watch.
 */
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AT(field) offsetof(struct sq, field)

static const struct mr_setting settings[] = {
	{"folder", MR_PATH, 0, AT(folder), "\"\"", 0, 0, NULL,
		"Where mail is kept. Empty: sqlite in the data directory."},
	{"body_in_row", MR_SIZE, 0, AT(body_in_row), "\"16 KiB\"", 0,
		1 << 20, NULL, "Messages up to this size are kept in the "
		"database, larger ones in segment files."},
	{"segment_size", MR_SIZE, 0, AT(segment_size), "\"64 MiB\"", 1 << 20,
		4LL << 30, NULL, "A new segment file is begun at this size."},
	{"keep_removed", MR_DURATION, 0, AT(keep_removed), "\"10m\"", 0,
		30 * 86400000LL, NULL, "How long the bytes of a removed "
		"message stay, for those who are reading it."},
	{"undelete", MR_DURATION, 0, AT(undelete), "\"0s\"", 0,
		365 * 86400000LL, NULL, "How long what was expunged can be "
		"put back (mailroom undelete). It takes its room on the disk "
		"for so long, not in the account."},
	{"keep_ledger", MR_DURATION, 0, AT(keep_ledger), "\"90d\"", 0,
		36500 * 86400000LL, NULL, "How long it is remembered what "
		"happened to each message (mailroom trace, audit). 0: for "
		"ever."},
	{"keep_vanished", MR_DURATION, 0, AT(keep_vanished), "\"90d\"", 0,
		36500 * 86400000LL, NULL, "How long removed messages are "
		"remembered for IMAP clients that were away; who comes later "
		"compares the whole mailbox. 0: for ever."},
	{"tag", MR_TEXT, 0, AT(tag), "\"+\"", 0, 0, NULL,
		"Characters that divide user and tag in user+tag@domain. "
		"Empty: no tags."},
	{"login_cache", MR_BOOL, 0, AT(login_cache), "true", 0, 0, NULL,
		"Remember right passwords for a moment, so that clients with "
		"many connections do not cost a hash each."},
	{"index", MR_BOOL, 0, AT(index), "true", 0, 0, NULL,
		"Keep an index of texts for IMAP SEARCH. Without it a search "
		"reads the messages; it finds the same, later. Turned off, "
		"its files go."},
	{"index_packed", MR_BOOL, 0, AT(index_packed), "false", 0, 0, NULL,
		"Pack the texts of the index: they take a third of the room, "
		"and words that many messages have are found in three times "
		"the time. For texts that come from now on."},
	{"index_block", MR_INT, 0, AT(index_block), "1024", 16, 1024, NULL,
		"How many messages the index takes together. Fewer are sooner "
		"found without being looked through, many make it smaller."},
	MR_SETTINGS_END,
};

/* ----------------------------------------------------------------- open */

static int
make_folder(const char *path, struct mr_error *err)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return MR_STORE_OK;
	return sq_fail(err, MR_STORE_FAILED, "cannot create %s: %s", path,
		strerror(errno));
}

/* With parents. */
static int
make_path(const char *path, struct mr_error *err)
{
	char *copy = sq_printf("%s", path), *at;
	int code = MR_STORE_OK;

	for (at = strchr(copy + 1, '/'); at && code == MR_STORE_OK;
		at = strchr(at + 1, '/')) {
		*at = 0;
		code = make_folder(copy, err);
		*at = '/';
	}
	if (code == MR_STORE_OK)
		code = make_folder(copy, err);
	free(copy);
	return code;
}

static int
make_folders(struct sq *s, struct mr_error *err)
{
	static const char *const below[] = {"segments", "hints"};
	int code = make_path(s->path, err);
	size_t i;

	for (i = 0; i < sizeof below / sizeof *below && code == MR_STORE_OK;
		i++) {
		char *path = sq_printf("%s/%s", s->path, below[i]);

		code = make_folder(path, err);
		free(path);
	}
	return code;
}

/* SQLite gives its other files the mode of this one. */
static int
make_file(struct sq *s, struct mr_error *err)
{
	char *path = sq_printf("%s/" SQ_FILE, s->path);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		sq_fail(err, MR_STORE_FAILED, "cannot open %s: %s", path,
			strerror(errno));
	else
		close(fd);
	free(path);
	return fd < 0 ? MR_STORE_FAILED : MR_STORE_OK;
}

/* The first process makes the tables; the lock keeps others out meanwhile. */
static struct sq_db *
open_database(struct sq *s, int lock, struct mr_error *err)
{
	struct sq_db *db = NULL;

	if (sq_lock_take(lock, err) != MR_STORE_OK)
		return NULL;
	if (make_file(s, err) == MR_STORE_OK)
		db = sq_db_open(s->path, SQ_WRITES, err);
	if (db && sq_schema(db->handle, err) != MR_STORE_OK) {
		sq_db_close(db);
		db = NULL;
	}
	sq_lock_give(lock);
	return db;
}

static void
sqlite_close(void *config)
{
	struct sq *s = config;

	/* The writer may still tell of its last changes. */
	sq_index_free(s->filling);
	sq_writer_free(s->writer);
	sq_watch_free(s->watch);
	sq_segments_free(s->segments);
	sq_pool_free(s->pool);
	sq_logins_free(s->logins);
	sq_plain_free(s->plain);
	free(s->path);
	free(s->hostname);
	sq_retain_free(s->retain);
	s->retain = NULL;
	s->hostname = NULL;
	s->path = NULL;
	s->writer = NULL;
	s->watch = NULL;
	s->segments = NULL;
	s->pool = NULL;
	s->logins = NULL;
	s->plain = NULL;
	s->filling = NULL;
}

static int
open_parts(struct sq *s, struct mr_error *err)
{
	struct sq_db *db;
	int lock;

	if (make_folders(s, err) != MR_STORE_OK)
		return -1;
	lock = sq_lock_open(s->path, err);
	if (lock < 0)
		return -1;
	db = open_database(s, lock, err);
	if (!db) {
		close(lock);
		return -1;
	}
	s->pool = sq_pool_new();
	s->logins = sq_logins_new();
	s->filling = sq_index_new(s);
	s->writer = sq_writer_new(s, db, lock);
	s->segments = sq_segments_new(s, err);
	s->watch = s->segments ? sq_watch_new(s, err) : NULL;
	s->plain = s->watch ? sq_plain_new(s->path, err) : NULL;
	return s->plain ? 0 : -1;
}

static int
sqlite_open(void *config, struct mr_open *open)
{
	struct sq *s = config;
	struct mr_error err = {{0}};

	/* Counting memory would take a lock at each allocation. Refused when
	 * somebody in this process has begun before us; no harm. */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	s->host = open->host;
	s->path = *s->folder ? sq_printf("%s", s->folder) :
		sq_printf("%s/sqlite", open->data);
	s->hostname = sq_printf("%s", open->hostname);
	if (open_parts(s, &err) == 0)
		return 0;
	snprintf(open->error, open->error_size, "%s", err.text);
	sqlite_close(s);
	return -1;
}

/* ----------------------------------------------------------- descriptor */

static const struct mr_store store = {
	.size = sizeof store,
	.commit = sq_commit,
	.body_open = sq_body_open,
	.body_read = sq_body_read,
	.body_close = sq_body_close,
	.mailbox_list = sq_mailbox_list,
	.mailbox_find = sq_mailbox_find,
	.mailbox_get = sq_mailbox_get,
	.mailbox_create = sq_mailbox_create,
	.mailbox_delete = sq_mailbox_delete,
	.mailbox_rename = sq_mailbox_rename,
	.subscribe = sq_subscribe,
	.subscriptions = sq_subscriptions,
	.mailbox_take_recent = sq_mailbox_take_recent,
	.uids = sq_uids,
	.scan = sq_scan,
	.vanished = sq_vanished,
	.store_flags = sq_store_flags,
	.expunge = sq_expunge,
	.copy = sq_copy,
	.queue_claim = sq_queue_claim,
	.queue_next = sq_queue_next,
	.queue_settle = sq_queue_settle,
	.queue_list = sq_queue_list,
	.queue_retry = sq_queue_retry,
	.queue_hold = sq_queue_hold,
	.queue_unclaim = sq_queue_unclaim,
	.watch = sq_watch,
	.domain_add = sq_domain_add,
	.domain_list = sq_domain_list,
	.account_add = sq_account_add,
	.account_set = sq_account_set,
	.account_remove = sq_account_remove,
	.account_list = sq_account_list,
	.alias_add = sq_alias_add,
	.alias_remove = sq_alias_remove,
	.alias_list = sq_alias_list,
	.figures = sq_figures,
	.state_get = sq_state_get,
	.state_set = sq_state_set,
	.state_add = sq_state_add,
	.queue_claim_turns = sq_queue_claim_turns,
	.queue_change = sq_queue_change,
	.ledger = sq_ledger,
	.list_set = sq_list_set,
	.list_list = sq_list_list,
	.app_password_add = sq_app_password_add,
	.app_password_remove = sq_app_password_remove,
	.app_password_list = sq_app_password_list,
	.state_list = sq_state_list,
	.metadata_get = sq_metadata_get,
	.metadata_set = sq_metadata_set,
	.import_begin = sq_import_begin,
	.import = sq_import,
	.imported = sq_imported,
	.backup = sq_backup,
	.backup_list = sq_backup_list,
	.backup_open = sq_backup_open,
	.backup_close = sq_backup_close,
	.fsck = sq_fsck,
	.sizes = sq_sizes,
	.vacuum = sq_vacuum,
	.backup_extract = sq_backup_extract,
	.acl_list = sq_acl_list,
	.acl_set = sq_acl_set,
	.acl_rights = sq_acl_rights,
	.acl_shared = sq_acl_shared,
	.append = sq_append,
	.index_todo = sq_index_todo,
	.index_put = sq_index_put,
	.index_drop = sq_index_drop,
	.index_figures = sq_index_figures,
	.index_open = sq_index_open,
	.index_look = sq_index_look,
	.index_text = sq_index_text,
	.index_close = sq_index_close,
	.account_number = sq_account_number,
	.mailbox_use = sq_mailbox_use,
	.quota_get = sq_quota_get,
	.quota_set = sq_quota_set,
	.queue_mirror = sq_queue_mirror,
	.metadata_changed = sq_metadata_changed,
	.undelete = sq_undelete,
	.retain = sq_retain,
	.retained = sq_retained,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "sqlite", .version = "0.1.0",
	.summary = "keeps mail, queue and accounts on this machine",
	.settings = settings, .config_size = sizeof(struct sq),
	.open = sqlite_open, .close = sqlite_close, .store = &store,
	.auth = &sq_auth, .route = &sq_route,
};
