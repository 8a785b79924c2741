# plugins/https
plugin_PROGRAMS += plugins/https/https.so
plugins_https_https_so_SOURCES = plugins/https/https.c
plugins_https_https_so_CFLAGS = $(PLUGIN_CFLAGS) $(CURL_CFLAGS)
plugins_https_https_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_https_https_so_LDADD = $(CURL_LIBS)
