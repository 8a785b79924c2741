# plugins/example: the plugin author's starting point
plugin_PROGRAMS += plugins/example/example.so
plugins_example_example_so_SOURCES = plugins/example/example.c
plugins_example_example_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_example_example_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_example_example_so_LDADD =
