# t/plug/remote: filters in their own process, the filter that misbehaves
# there. t/bench/remote says what isolation costs.
check_PROGRAMS += t/plug/remote/remote \
	t/plug/remote/rogue.so t/plug/remote/reader.so
t_plug_remote_remote_SOURCES = t/plug/remote/remote.c t/plug/remote/rig.c \
	t/plug/remote/rig.h
t_plug_remote_remote_CFLAGS = $(TEST_CFLAGS)
t_plug_remote_remote_LDADD = $(TEST_LIBS)
t_plug_remote_rogue_so_SOURCES = t/plug/remote/rogue.c
t_plug_remote_rogue_so_CFLAGS = $(PLUGIN_CFLAGS)
t_plug_remote_rogue_so_LDFLAGS = $(PLUGIN_LDFLAGS)
t_plug_remote_rogue_so_LDADD =
t_plug_remote_reader_so_SOURCES = t/plug/remote/reader.c
t_plug_remote_reader_so_CFLAGS = $(PLUGIN_CFLAGS)
t_plug_remote_reader_so_LDFLAGS = $(PLUGIN_LDFLAGS)
t_plug_remote_reader_so_LDADD =
# Run by hand.
EXTRA_PROGRAMS += t/bench/remote
t_bench_remote_SOURCES = t/bench/remote.c t/plug/remote/rig.c
t_bench_remote_CFLAGS = $(CORE_CFLAGS) -fPIE -I$(top_srcdir)/t/plug/remote
t_bench_remote_LDADD = $(CORE_LIBS)
EXTRA_t_bench_remote_DEPENDENCIES = t/plug/remote/reader.so
