# plugins/arc
plugin_PROGRAMS += plugins/arc/arc.so
arc_parts = plugins/arc/arc.h plugins/arc/letter.h plugins/arc/letter.c \
	plugins/arc/text.c plugins/arc/tags.c plugins/arc/canon.c \
	plugins/arc/sets.c plugins/arc/key.c
plugins_arc_arc_so_SOURCES = plugins/arc/arc.c plugins/arc/check.c \
	plugins/dmarc/comment.h $(arc_parts)
plugins_arc_arc_so_CFLAGS = $(PLUGIN_CFLAGS) -D_GNU_SOURCE $(OPENSSL_CFLAGS)
plugins_arc_arc_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_arc_arc_so_LDADD = $(OPENSSL_LIBS) -lpthread
