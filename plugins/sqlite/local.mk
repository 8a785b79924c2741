# plugins/sqlite: the built-in store
plugin_PROGRAMS += plugins/sqlite/sqlite.so
plugins_sqlite_sqlite_so_SOURCES = plugins/sqlite/sqlite.c \
	plugins/sqlite/sq.h plugins/sqlite/engine.h \
	plugins/sqlite/base.c plugins/sqlite/db.c plugins/sqlite/pool.c \
	plugins/sqlite/schema.c plugins/sqlite/writer.c \
	plugins/sqlite/keeper.c plugins/sqlite/known.c \
	plugins/sqlite/segment.c plugins/sqlite/commit.c \
	plugins/sqlite/append.c plugins/sqlite/mirror.c \
	plugins/sqlite/body.c plugins/sqlite/claim.c \
	plugins/sqlite/flow.c plugins/sqlite/queue.c \
	plugins/sqlite/collect.c plugins/sqlite/watch.c \
	plugins/sqlite/names.c plugins/sqlite/quota.c plugins/sqlite/undelete.c \
	plugins/sqlite/mailbox.c \
	plugins/sqlite/entries.c plugins/sqlite/rows.c plugins/sqlite/rows.h \
	plugins/sqlite/flags.c plugins/sqlite/copy.c \
	plugins/sqlite/ledger.c plugins/sqlite/directory.c plugins/sqlite/state.c \
	plugins/sqlite/auth.c plugins/sqlite/route.c \
	plugins/sqlite/plain.c plugins/sqlite/credential.c \
	plugins/sqlite/acl.c plugins/sqlite/metadata.c \
	plugins/sqlite/import.c plugins/sqlite/backup.c \
	plugins/sqlite/backup.h plugins/sqlite/map.c \
	plugins/sqlite/index.c plugins/sqlite/index.h \
	plugins/sqlite/index_chunk.c plugins/sqlite/index_block.c \
	plugins/sqlite/index_find.c plugins/sqlite/index_put.c \
	plugins/sqlite/restore.c plugins/sqlite/fsck.c \
	plugins/sqlite/fsck.h plugins/sqlite/fsck_bytes.c \
	plugins/sqlite/vacuum.c plugins/sqlite/extract.c \
	plugins/sqlite/prune.c plugins/sqlite/retain.c
plugins_sqlite_sqlite_so_CFLAGS = $(PLUGIN_CFLAGS) -D_GNU_SOURCE $(SQLITE_CFLAGS) \
	$(OPENSSL_CFLAGS) $(CRYPT_CFLAGS) $(ZSTD_CFLAGS)
plugins_sqlite_sqlite_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_sqlite_sqlite_so_LDADD = $(SQLITE_LIBS) $(CRYPT_LIBS) $(UNISTRING_LIBS) \
	$(ZSTD_LIBS) \
	-lcrypto

# Tests load the module with a host of their own; t/bench/store is run by hand.
sqlite_tests = t/plug/sqlite/commit t/plug/sqlite/queue \
	t/plug/sqlite/remove t/plug/sqlite/hints t/plug/sqlite/kill \
	t/plug/sqlite/faults t/plug/sqlite/ledger t/plug/sqlite/index
check_PROGRAMS += $(sqlite_tests)
SQLITE_TEST_CFLAGS = $(MR_CFLAGS) -D_GNU_SOURCE -fPIE -I$(top_srcdir)/t/lib \
	$(CMOCKA_CFLAGS) \
	-DSQLITE_MODULE='"$(abs_builddir)/plugins/sqlite/sqlite.so"'
sqlite_fake = t/plug/sqlite/fake.c t/plug/sqlite/fake.h
t_plug_sqlite_commit_SOURCES = t/plug/sqlite/commit.c $(sqlite_fake)
t_plug_sqlite_commit_CFLAGS = $(SQLITE_TEST_CFLAGS)
t_plug_sqlite_commit_LDADD = $(CMOCKA_LIBS) -lcrypto
EXTRA_t_plug_sqlite_commit_DEPENDENCIES = plugins/sqlite/sqlite.so
t_plug_sqlite_queue_SOURCES = t/plug/sqlite/queue.c $(sqlite_fake)
t_plug_sqlite_queue_CFLAGS = $(SQLITE_TEST_CFLAGS)
t_plug_sqlite_queue_LDADD = $(CMOCKA_LIBS) -lcrypto
EXTRA_t_plug_sqlite_queue_DEPENDENCIES = plugins/sqlite/sqlite.so
t_plug_sqlite_remove_SOURCES = t/plug/sqlite/remove.c $(sqlite_fake)
t_plug_sqlite_remove_CFLAGS = $(SQLITE_TEST_CFLAGS)
t_plug_sqlite_remove_LDADD = $(CMOCKA_LIBS) -lcrypto
EXTRA_t_plug_sqlite_remove_DEPENDENCIES = plugins/sqlite/sqlite.so
t_plug_sqlite_hints_SOURCES = t/plug/sqlite/hints.c $(sqlite_fake)
t_plug_sqlite_hints_CFLAGS = $(SQLITE_TEST_CFLAGS)
t_plug_sqlite_hints_LDADD = $(CMOCKA_LIBS) -lcrypto
EXTRA_t_plug_sqlite_hints_DEPENDENCIES = plugins/sqlite/sqlite.so
t_plug_sqlite_kill_SOURCES = t/plug/sqlite/kill.c $(sqlite_fake)
t_plug_sqlite_kill_CFLAGS = $(SQLITE_TEST_CFLAGS)
t_plug_sqlite_kill_LDADD = $(CMOCKA_LIBS) -lcrypto
EXTRA_t_plug_sqlite_kill_DEPENDENCIES = plugins/sqlite/sqlite.so
t_plug_sqlite_ledger_SOURCES = t/plug/sqlite/ledger.c $(sqlite_fake)
t_plug_sqlite_ledger_CFLAGS = $(SQLITE_TEST_CFLAGS)
t_plug_sqlite_ledger_LDADD = $(CMOCKA_LIBS) -lcrypto
EXTRA_t_plug_sqlite_ledger_DEPENDENCIES = plugins/sqlite/sqlite.so
t_plug_sqlite_index_SOURCES = t/plug/sqlite/index.c $(sqlite_fake)
t_plug_sqlite_index_CFLAGS = $(SQLITE_TEST_CFLAGS)
t_plug_sqlite_index_LDADD = $(CMOCKA_LIBS) -lcrypto
EXTRA_t_plug_sqlite_index_DEPENDENCIES = plugins/sqlite/sqlite.so
t_plug_sqlite_faults_SOURCES = t/plug/sqlite/faults.c $(sqlite_fake)
t_plug_sqlite_faults_CFLAGS = $(SQLITE_TEST_CFLAGS) \
	-DFAILFS='"$(abs_builddir)/t/kill/failfs.so"'
t_plug_sqlite_faults_LDADD = $(CMOCKA_LIBS) -lcrypto
EXTRA_t_plug_sqlite_faults_DEPENDENCIES = plugins/sqlite/sqlite.so \
	t/kill/failfs.so

EXTRA_PROGRAMS += t/bench/store
t_bench_store_SOURCES = t/bench/store.c $(sqlite_fake)
t_bench_store_CFLAGS = $(SQLITE_TEST_CFLAGS)
t_bench_store_LDADD = -lcrypto
EXTRA_t_bench_store_DEPENDENCIES = plugins/sqlite/sqlite.so
