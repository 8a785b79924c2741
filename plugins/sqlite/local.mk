# plugins/sqlite: the built-in store
plugin_PROGRAMS += plugins/sqlite/sqlite.so
plugins_sqlite_sqlite_so_SOURCES = plugins/sqlite/sqlite.c \
	plugins/sqlite/sq.h plugins/sqlite/engine.h \
	plugins/sqlite/base.c plugins/sqlite/db.c plugins/sqlite/pool.c \
	plugins/sqlite/schema.c plugins/sqlite/writer.c \
	plugins/sqlite/keeper.c plugins/sqlite/known.c \
	plugins/sqlite/segment.c plugins/sqlite/commit.c \
	plugins/sqlite/body.c plugins/sqlite/queue.c \
	plugins/sqlite/collect.c plugins/sqlite/watch.c \
	plugins/sqlite/names.c plugins/sqlite/mailbox.c \
	plugins/sqlite/entries.c plugins/sqlite/rows.c plugins/sqlite/rows.h \
	plugins/sqlite/flags.c plugins/sqlite/copy.c \
	plugins/sqlite/directory.c plugins/sqlite/state.c \
	plugins/sqlite/auth.c plugins/sqlite/route.c
plugins_sqlite_sqlite_so_CFLAGS = $(PLUGIN_CFLAGS) -D_GNU_SOURCE $(SQLITE_CFLAGS) \
	$(OPENSSL_CFLAGS) $(CRYPT_CFLAGS)
plugins_sqlite_sqlite_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_sqlite_sqlite_so_LDADD = $(SQLITE_LIBS) $(CRYPT_LIBS) -lcrypto
