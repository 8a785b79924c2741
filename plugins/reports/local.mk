# plugins/reports
plugin_PROGRAMS += plugins/reports/reports.so
plugins_reports_reports_so_SOURCES = plugins/reports/reports.c
plugins_reports_reports_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_reports_reports_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_reports_reports_so_LDADD =
