# t: tests that are not of one room, their modules, the fuzz programs.

# ---- what ./check builds and runs beside the server itself
check-programs: $(check_PROGRAMS) libcore.a
# Modules are loaded by tests, the rest are tests.
print-check-programs:
	@echo $(filter-out %.so,$(check_PROGRAMS))
.PHONY: check-programs print-check-programs

check_PROGRAMS += t/kill/failfs.so t/wire/70-plugin/naughty.so \
	t/wire/80-transport/rogue.so
t_kill_failfs_so_SOURCES = t/kill/failfs.c
t_kill_failfs_so_CFLAGS = $(MR_CFLAGS) -fPIC
t_kill_failfs_so_LDFLAGS = -shared
t_kill_failfs_so_LDADD =
t_wire_70_plugin_naughty_so_SOURCES = t/wire/70-plugin/naughty.c
t_wire_70_plugin_naughty_so_CFLAGS = $(PLUGIN_CFLAGS)
t_wire_70_plugin_naughty_so_LDFLAGS = $(PLUGIN_LDFLAGS)
t_wire_70_plugin_naughty_so_LDADD =
check_PROGRAMS += t/wire/70-plugin/filer.so
t_wire_70_plugin_filer_so_SOURCES = t/wire/70-plugin/filer.c
t_wire_70_plugin_filer_so_CFLAGS = $(PLUGIN_CFLAGS)
t_wire_70_plugin_filer_so_LDFLAGS = $(PLUGIN_LDFLAGS)
t_wire_70_plugin_filer_so_LDADD =
t_wire_80_transport_rogue_so_SOURCES = t/wire/80-transport/rogue.c
t_wire_80_transport_rogue_so_CFLAGS = $(PLUGIN_CFLAGS)
t_wire_80_transport_rogue_so_LDFLAGS = $(PLUGIN_LDFLAGS)
t_wire_80_transport_rogue_so_LDADD =

# ---- fuzz: t/fuzz/NAME.c holds LLVMFuzzerTestOneInput; seeds are in
# t/fuzz/seeds/NAME/. Without clang's libFuzzer a small driver replays seeds
# and damaged copies of them.
fuzz_names = $(basename $(notdir $(wildcard $(top_srcdir)/t/fuzz/*.c)))
fuzz_programs = $(fuzz_names:%=t/fuzz/%.fuzz)
fuzz-programs: $(fuzz_programs)
t/fuzz/%.fuzz: $(top_srcdir)/t/fuzz/%.c $(top_srcdir)/t/fuzz/driver/driver.c \
		libcore.a
	@mkdir -p t/fuzz
	$(AM_V_CCLD)if $(CC) --version | grep -q clang; then \
		how=-fsanitize=fuzzer; else \
		how=$(top_srcdir)/t/fuzz/driver/driver.c; fi; \
	$(CC) $(DEFS) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(CPPFLAGS) \
		$(CORE_CFLAGS) $(CFLAGS) -Wno-missing-prototypes -o $@ $< \
		$$how $(CORE_LIBS) $(LIBS)
# SECONDS=600 make fuzz: each entry that long, in the sanitizer build.
fuzz:
	$(top_srcdir)/t/fuzz/run $${SECONDS:-60}
print-fuzz-programs:
	@echo $(fuzz_programs)
# The whole wire suite under the sanitizers; takes long.
check-san:
	SAN_ALL=1 $(top_srcdir)/t/run $(top_srcdir)/t/san
.PHONY: fuzz fuzz-programs print-fuzz-programs check-san

EXTRA_DIST += check quickstart .ci t/quickstart.t t/dist.t t/guide.t t/run t/lib t/san t/layers.t \
	t/walk.t t/wire t/kill t/milters t/fuzz t/bench t/plug/abi \
	t/plug/inspect
CLEANFILES += $(fuzz_programs)
# Folders are shipped whole; what was built in them is not.
dist-hook:
	find $(distdir)/t \( -name '*.[oa]' -o -name '*.so' -o -name '*.fuzz' \
		-o -name '*.pyc' -o -name .dirstamp \) -type f -delete
	find $(distdir)/t \( -name .deps -o -name __pycache__ -o -name tmp \) \
		-prune -exec rm -r {} +
