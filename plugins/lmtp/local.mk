# plugins/lmtp
plugin_PROGRAMS += plugins/lmtp/lmtp.so
plugins_lmtp_lmtp_so_SOURCES = plugins/lmtp/lmtp.c
plugins_lmtp_lmtp_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_lmtp_lmtp_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_lmtp_lmtp_so_LDADD =
