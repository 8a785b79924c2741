# plugins/eventlog
plugin_PROGRAMS += plugins/eventlog/eventlog.so
plugins_eventlog_eventlog_so_SOURCES = plugins/eventlog/eventlog.c
plugins_eventlog_eventlog_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_eventlog_eventlog_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_eventlog_eventlog_so_LDADD =
