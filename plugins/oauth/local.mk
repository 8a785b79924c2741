# plugins/oauth
plugin_PROGRAMS += plugins/oauth/oauth.so
plugins_oauth_oauth_so_SOURCES = plugins/oauth/oauth.c
plugins_oauth_oauth_so_CFLAGS = $(PLUGIN_CFLAGS) -D_GNU_SOURCE $(CURL_CFLAGS) \
	$(JANSSON_CFLAGS) $(OPENSSL_CFLAGS)
plugins_oauth_oauth_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_oauth_oauth_so_LDADD = $(CURL_LIBS) $(JANSSON_LIBS) -lcrypto
