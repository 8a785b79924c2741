# Tests of mailboxes, changes, directory, logins and routes; those of the engine
# stand in plugins/sqlite/local.mk. t/bench/mailbox is run by hand.
store_tests = t/plug/sqlite/mailbox t/plug/sqlite/change \
	t/plug/sqlite/directory t/plug/sqlite/route t/plug/sqlite/metadata \
	t/plug/sqlite/acl \
	t/plug/sqlite/append
check_PROGRAMS += $(store_tests)
t_plug_sqlite_mailbox_SOURCES = t/plug/sqlite/mailbox.c $(sqlite_fake)
t_plug_sqlite_mailbox_CFLAGS = $(SQLITE_TEST_CFLAGS)
t_plug_sqlite_mailbox_LDADD = $(CMOCKA_LIBS) -lcrypto
EXTRA_t_plug_sqlite_mailbox_DEPENDENCIES = plugins/sqlite/sqlite.so
t_plug_sqlite_change_SOURCES = t/plug/sqlite/change.c t/plug/sqlite/model.c \
	t/plug/sqlite/model.h $(sqlite_fake)
t_plug_sqlite_change_CFLAGS = $(SQLITE_TEST_CFLAGS) $(SQLITE_CFLAGS)
t_plug_sqlite_change_LDADD = $(CMOCKA_LIBS) $(SQLITE_LIBS) -lcrypto
EXTRA_t_plug_sqlite_change_DEPENDENCIES = plugins/sqlite/sqlite.so
t_plug_sqlite_directory_SOURCES = t/plug/sqlite/directory.c $(sqlite_fake)
t_plug_sqlite_directory_CFLAGS = $(SQLITE_TEST_CFLAGS) $(SQLITE_CFLAGS) \
	$(CRYPT_CFLAGS)
t_plug_sqlite_directory_LDADD = $(CMOCKA_LIBS) $(CRYPT_LIBS) $(SQLITE_LIBS) -lcrypto
EXTRA_t_plug_sqlite_directory_DEPENDENCIES = plugins/sqlite/sqlite.so
t_plug_sqlite_route_SOURCES = t/plug/sqlite/route.c $(sqlite_fake)
t_plug_sqlite_route_CFLAGS = $(SQLITE_TEST_CFLAGS)
t_plug_sqlite_route_LDADD = $(CMOCKA_LIBS) -lcrypto
EXTRA_t_plug_sqlite_route_DEPENDENCIES = plugins/sqlite/sqlite.so
t_plug_sqlite_metadata_SOURCES = t/plug/sqlite/metadata.c $(sqlite_fake)
t_plug_sqlite_metadata_CFLAGS = $(SQLITE_TEST_CFLAGS)
t_plug_sqlite_metadata_LDADD = $(CMOCKA_LIBS) -lcrypto
EXTRA_t_plug_sqlite_metadata_DEPENDENCIES = plugins/sqlite/sqlite.so
t_plug_sqlite_acl_SOURCES = t/plug/sqlite/acl.c $(sqlite_fake)
t_plug_sqlite_acl_CFLAGS = $(SQLITE_TEST_CFLAGS)
t_plug_sqlite_acl_LDADD = $(CMOCKA_LIBS) -lcrypto
EXTRA_t_plug_sqlite_acl_DEPENDENCIES = plugins/sqlite/sqlite.so
t_plug_sqlite_append_SOURCES = t/plug/sqlite/append.c $(sqlite_fake)
t_plug_sqlite_append_CFLAGS = $(SQLITE_TEST_CFLAGS)
t_plug_sqlite_append_LDADD = $(CMOCKA_LIBS) -lcrypto
EXTRA_t_plug_sqlite_append_DEPENDENCIES = plugins/sqlite/sqlite.so
check_PROGRAMS += t/plug/sqlite/mirror
t_plug_sqlite_mirror_SOURCES = t/plug/sqlite/mirror.c $(sqlite_fake)
t_plug_sqlite_mirror_CFLAGS = $(SQLITE_TEST_CFLAGS)
t_plug_sqlite_mirror_LDADD = $(CMOCKA_LIBS) -lcrypto
EXTRA_t_plug_sqlite_mirror_DEPENDENCIES = plugins/sqlite/sqlite.so

EXTRA_PROGRAMS += t/bench/mailbox
t_bench_mailbox_SOURCES = t/bench/mailbox.c $(sqlite_fake)
t_bench_mailbox_CFLAGS = $(SQLITE_TEST_CFLAGS)
t_bench_mailbox_LDADD = -lcrypto
EXTRA_t_bench_mailbox_DEPENDENCIES = plugins/sqlite/sqlite.so
