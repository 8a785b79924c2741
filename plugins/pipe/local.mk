# plugins/pipe
plugin_PROGRAMS += plugins/pipe/pipe.so
plugins_pipe_pipe_so_SOURCES = plugins/pipe/pipe.c
plugins_pipe_pipe_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_pipe_pipe_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_pipe_pipe_so_LDADD =
