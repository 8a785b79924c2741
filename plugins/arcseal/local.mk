# plugins/arcseal: with the parts of plugins/arc and the keys of plugins/dkim
plugin_PROGRAMS += plugins/arcseal/arcseal.so
plugins_arcseal_arcseal_so_SOURCES = plugins/arcseal/arcseal.c \
	plugins/arcseal/seal.c plugins/dkim/keys.c plugins/dkim/keys.h \
	plugins/dkim/elsewhere.h \
	$(arc_parts)
plugins_arcseal_arcseal_so_CFLAGS = $(PLUGIN_CFLAGS) -D_GNU_SOURCE \
	$(OPENSSL_CFLAGS)
plugins_arcseal_arcseal_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_arcseal_arcseal_so_LDADD = $(OPENSSL_LIBS) -lpthread
