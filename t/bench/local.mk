# t/bench: programs that need the library; t/bench/run compiles the others.
EXTRA_PROGRAMS += t/bench/milter t/bench/noop
t_bench_milter_SOURCES = t/bench/milter.c
t_bench_milter_LDADD = $(CORE_LIBS)
t_bench_milter_LDFLAGS = $(AM_LDFLAGS) $(MFAPI_LDFLAGS)
t_bench_noop_SOURCES = t/bench/noop.c
t_bench_noop_LDADD = $(MILTER_LIBS)
bench_modules = t/bench/noop_table.so t/bench/noop_native.so
t/bench/noop_table.so: t/bench/noop.c
	$(AM_V_CCLD)$(MFAPI_MODULE) -DTABLE -o $@ $<
t/bench/noop_native.so: t/bench/noop.c
	$(AM_V_CCLD)$(MFAPI_MODULE) $(AM_CPPFLAGS) -DNATIVE -o $@ $<
CLEANFILES += $(bench_modules)
bench-milter: t/bench/milter t/bench/noop $(bench_modules)
.PHONY: bench-milter
EXTRA_PROGRAMS += t/bench/squeeze
t_bench_squeeze_SOURCES = t/bench/squeeze.c
t_bench_squeeze_CFLAGS = $(MR_CFLAGS) $(ZSTD_CFLAGS) $(OPENSSL_CFLAGS)
t_bench_squeeze_LDADD = $(ZSTD_LIBS) $(OPENSSL_LIBS)
