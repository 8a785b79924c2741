# plugins/spf
plugin_PROGRAMS += plugins/spf/spf.so
spf_parts = plugins/spf/spf.h plugins/spf/record.c plugins/spf/macro.c \
	plugins/spf/check.c
plugins_spf_spf_so_SOURCES = plugins/spf/spf.c $(spf_parts)
plugins_spf_spf_so_CFLAGS = $(PLUGIN_CFLAGS) $(IDN2_CFLAGS)
plugins_spf_spf_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_spf_spf_so_LDADD = $(IDN2_LIBS)

# t/plug/spf: check_host() alone, driven by suite.t
EXTRA_PROGRAMS += t/plug/spf/driver
check-programs: t/plug/spf/driver
t_plug_spf_driver_SOURCES = t/plug/spf/driver.c $(spf_parts)
t_plug_spf_driver_CFLAGS = $(MR_CFLAGS) -D_GNU_SOURCE
t_plug_spf_driver_LDADD =
