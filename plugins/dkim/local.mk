# plugins/dkim
plugin_PROGRAMS += plugins/dkim/dkim.so
plugins_dkim_dkim_so_SOURCES = plugins/dkim/dkim.c plugins/dkim/dkim.h \
	plugins/dkim/feed.c plugins/dkim/verify.c plugins/dkim/sign.c \
	plugins/dkim/keys.c plugins/dkim/keys.h \
	plugins/dkim/elsewhere.h
plugins_dkim_dkim_so_CFLAGS = $(PLUGIN_CFLAGS) -D_GNU_SOURCE \
	$(OPENDKIM_CFLAGS)
plugins_dkim_dkim_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_dkim_dkim_so_LDADD = $(OPENDKIM_LIBS) -lpthread
