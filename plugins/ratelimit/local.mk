# plugins/ratelimit
plugin_PROGRAMS += plugins/ratelimit/ratelimit.so
plugins_ratelimit_ratelimit_so_SOURCES = plugins/ratelimit/ratelimit.c
plugins_ratelimit_ratelimit_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_ratelimit_ratelimit_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_ratelimit_ratelimit_so_LDADD =
