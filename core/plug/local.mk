# core/plug: sources and unit tests of this room
libcore_a_SOURCES += \
	core/plug/mfapi.c core/plug/mfapi.h core/plug/mfapi_parts.h \
	core/plug/mfapi_call.c core/plug/mfapi_load.c \
	core/plug/milter_form.c core/plug/milter_form.h \
	core/plug/milter.c core/plug/milter.h \
	core/plug/milter_edit.c core/plug/milter_edit.h \
	core/plug/milter_link.c core/plug/milter_link.h \
	core/plug/milter_macro.c core/plug/milter_macro.h \
	core/plug/milter_settings.c \
	core/plug/milter_wire.c core/plug/milter_wire.h
libcore_a_SOURCES += \
	core/plug/auth.c core/plug/auth.h \
	core/plug/bearer.c core/plug/bearer.h \
	core/plug/scram.c core/plug/scram.h \
	core/plug/elf_image.c core/plug/elf_image.h \
	core/plug/facts.h \
	core/plug/forward.c core/plug/forward.h \
	core/plug/hooks.c core/plug/hooks.h \
	core/plug/host.c core/plug/host_services.c core/plug/scene.h \
	core/plug/inspect.c core/plug/inspect.h \
	core/plug/observe.c core/plug/observe.h \
	core/plug/plugin.c core/plug/plugin_module.c core/plug/plugin.h \
	core/plug/remote.c core/plug/remote.h core/plug/remote_parts.h \
	core/plug/remote_call.c core/plug/remote_process.c \
	core/plug/remote_serve.c core/plug/remote_served.h \
	core/plug/remote_table.c \
	core/plug/remote_wire.c core/plug/remote_wire.h \
	core/plug/result.c core/plug/result.h \
	core/plug/route.c core/plug/route.h core/plug/special.h \
	core/plug/store.c core/plug/store.h \
	core/plug/transport.c core/plug/transport.h \
	core/plug/watchdog.c core/plug/watchdog.h

check_PROGRAMS += t/unit/plug/hooks t/unit/plug/auth t/unit/plug/milter
t_unit_plug_hooks_SOURCES = t/unit/plug/hooks.c
t_unit_plug_hooks_CFLAGS = $(TEST_CFLAGS)
t_unit_plug_hooks_LDADD = $(TEST_LIBS)
t_unit_plug_auth_SOURCES = t/unit/plug/auth.c
t_unit_plug_auth_CFLAGS = $(TEST_CFLAGS)
t_unit_plug_auth_LDADD = $(TEST_LIBS)
t_unit_plug_milter_SOURCES = t/unit/plug/milter.c
t_unit_plug_milter_CFLAGS = $(TEST_CFLAGS)
t_unit_plug_milter_LDADD = $(TEST_LIBS)

# Programs that load plugins export these names to them, and no others.
MFAPI_LDFLAGS = -Wl,--dynamic-list=$(top_srcdir)/core/plug/mfapi.list
EXTRA_DIST += core/plug/mfapi.list
