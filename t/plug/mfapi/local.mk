# t/plug/mfapi: filters written for libmilter, as daemon and as modules, and
# the program that plays transcripts to them.
mfapi_filters = t/plug/mfapi/stamp t/plug/mfapi/rewrite
mfapi_modules = $(mfapi_filters:%=%_main.so) $(mfapi_filters:%=%_table.so)
# mfapi.h takes literals for what it calls char *.
MFAPI_FILTER_CFLAGS = $(MR_CFLAGS) -Wno-write-strings
MFAPI_MODULE = $(CC) $(MFAPI_FILTER_CFLAGS) -fPIC $(CFLAGS) -shared
EXTRA_PROGRAMS += t/plug/mfapi/stamp t/plug/mfapi/rewrite t/plug/mfapi/driver
t_plug_mfapi_stamp_SOURCES = t/plug/mfapi/stamp.c
t_plug_mfapi_stamp_CFLAGS = $(MFAPI_FILTER_CFLAGS) -fPIE
t_plug_mfapi_stamp_LDADD = $(MILTER_LIBS)
t_plug_mfapi_rewrite_SOURCES = t/plug/mfapi/rewrite.c
t_plug_mfapi_rewrite_CFLAGS = $(MFAPI_FILTER_CFLAGS) -fPIE
t_plug_mfapi_rewrite_LDADD = $(MILTER_LIBS)
t_plug_mfapi_driver_SOURCES = t/plug/mfapi/driver.c
t_plug_mfapi_driver_LDADD = $(CORE_LIBS)
t_plug_mfapi_driver_LDFLAGS = $(AM_LDFLAGS) $(MFAPI_LDFLAGS)
# One is linked with libmilter, as a filter's own Makefile would do it, the
# other not: both must find our functions.
%_main.so: %.c
	@mkdir -p $(@D)
	$(AM_V_CCLD)$(MFAPI_MODULE) -Dmain=mailroom_milter_main -o $@ $< \
		$(MILTER_LIBS)
%_table.so: %.c
	@mkdir -p $(@D)
	$(AM_V_CCLD)$(MFAPI_MODULE) -DTABLE -o $@ $<
check-programs: $(mfapi_modules) $(mfapi_filters) t/plug/mfapi/driver
CLEANFILES += $(mfapi_modules)
EXTRA_DIST += t/plug
