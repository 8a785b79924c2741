# plugins/maildir
plugin_PROGRAMS += plugins/maildir/maildir.so
plugins_maildir_maildir_so_SOURCES = plugins/maildir/maildir.c
plugins_maildir_maildir_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_maildir_maildir_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_maildir_maildir_so_LDADD =
