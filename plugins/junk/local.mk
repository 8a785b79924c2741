# plugins/junk
plugin_PROGRAMS += plugins/junk/junk.so
junk_parts = plugins/junk/junk.h plugins/junk/words.c plugins/junk/text.c \
	plugins/junk/bayes.c plugins/junk/memory.c
plugins_junk_junk_so_SOURCES = plugins/junk/junk.c $(junk_parts)
plugins_junk_junk_so_CFLAGS = $(PLUGIN_CFLAGS) -D_GNU_SOURCE \
	$(SQLITE_CFLAGS)
plugins_junk_junk_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_junk_junk_so_LDADD = $(SQLITE_LIBS) -lm

# t/plug/junk: how well it tells mail apart
check_PROGRAMS += t/plug/junk/corpus
t_plug_junk_corpus_SOURCES = t/plug/junk/corpus.c $(junk_parts)
t_plug_junk_corpus_CFLAGS = $(TEST_CFLAGS) -D_GNU_SOURCE $(SQLITE_CFLAGS)
t_plug_junk_corpus_LDADD = $(SQLITE_LIBS) -lm
