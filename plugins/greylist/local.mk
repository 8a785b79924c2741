# plugins/greylist
plugin_PROGRAMS += plugins/greylist/greylist.so
plugins_greylist_greylist_so_SOURCES = plugins/greylist/greylist.c
plugins_greylist_greylist_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_greylist_greylist_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_greylist_greylist_so_LDADD =
