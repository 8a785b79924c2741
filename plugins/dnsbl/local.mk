# plugins/dnsbl
plugin_PROGRAMS += plugins/dnsbl/dnsbl.so
plugins_dnsbl_dnsbl_so_SOURCES = plugins/dnsbl/dnsbl.c
plugins_dnsbl_dnsbl_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_dnsbl_dnsbl_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_dnsbl_dnsbl_so_LDADD =
