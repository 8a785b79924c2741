# plugins/junk
plugin_PROGRAMS += plugins/junk/junk.so
plugins_junk_junk_so_SOURCES = plugins/junk/junk.c plugins/junk/junk.h \
	plugins/junk/words.c plugins/junk/text.c plugins/junk/bayes.c \
	plugins/junk/memory.c
plugins_junk_junk_so_CFLAGS = $(PLUGIN_CFLAGS) -D_GNU_SOURCE \
	$(SQLITE_CFLAGS)
plugins_junk_junk_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_junk_junk_so_LDADD = $(SQLITE_LIBS) -lm
