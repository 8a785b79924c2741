# plugins/dmarc
plugin_PROGRAMS += plugins/dmarc/dmarc.so
plugins_dmarc_dmarc_so_SOURCES = plugins/dmarc/dmarc.c plugins/dmarc/dmarc.h plugins/dmarc/comment.h \
	plugins/dmarc/record.c plugins/dmarc/walk.c plugins/dmarc/author.c \
	plugins/dmarc/rows.c
plugins_dmarc_dmarc_so_CFLAGS = $(PLUGIN_CFLAGS) $(IDN2_CFLAGS) \
	$(JANSSON_CFLAGS) -D_GNU_SOURCE
plugins_dmarc_dmarc_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_dmarc_dmarc_so_LDADD = $(IDN2_LIBS) $(JANSSON_LIBS) -lpthread
