# core/base: sources and unit tests of this room
libcore_a_SOURCES += \
	core/base/arena.c core/base/arena.h \
	core/base/buf.c core/base/buf.h \
	core/base/clock.c core/base/clock.h \
	core/base/conf.h core/base/conf_tree.h \
	core/base/conf_fill.c core/base/conf_parse.c \
	core/base/conf_scalar.c core/base/conf_show.c \
	core/base/conf_tree.c core/base/conf_unit.c \
	core/base/enc.c core/base/enc.h \
	core/base/err.c core/base/err.h \
	core/base/file.c core/base/file.h \
	core/base/log.c core/base/log.h \
	core/base/map.c core/base/map.h \
	core/base/poison.h \
	core/base/str.c core/base/str.h

check_PROGRAMS += t/unit/base/str t/unit/base/memory t/unit/base/enc \
	t/unit/base/clock t/unit/base/log t/unit/base/file t/unit/base/conf
t_unit_base_str_SOURCES = t/unit/base/str.c
t_unit_base_str_CFLAGS = $(TEST_CFLAGS)
t_unit_base_str_LDADD = $(TEST_LIBS)
t_unit_base_memory_SOURCES = t/unit/base/memory.c
t_unit_base_memory_CFLAGS = $(TEST_CFLAGS)
t_unit_base_memory_LDADD = $(TEST_LIBS)
t_unit_base_enc_SOURCES = t/unit/base/enc.c
t_unit_base_enc_CFLAGS = $(TEST_CFLAGS)
t_unit_base_enc_LDADD = $(TEST_LIBS)
t_unit_base_clock_SOURCES = t/unit/base/clock.c
t_unit_base_clock_CFLAGS = $(TEST_CFLAGS)
t_unit_base_clock_LDADD = $(TEST_LIBS)
t_unit_base_log_SOURCES = t/unit/base/log.c
t_unit_base_log_CFLAGS = $(TEST_CFLAGS)
t_unit_base_log_LDADD = $(TEST_LIBS)
t_unit_base_file_SOURCES = t/unit/base/file.c
t_unit_base_file_CFLAGS = $(TEST_CFLAGS)
t_unit_base_file_LDADD = $(TEST_LIBS)
t_unit_base_conf_SOURCES = t/unit/base/conf.c
t_unit_base_conf_CFLAGS = $(TEST_CFLAGS)
t_unit_base_conf_LDADD = $(TEST_LIBS)

# toml.t's window on the reader; no test by itself.
EXTRA_PROGRAMS += t/unit/base/tomldump
t_unit_base_tomldump_SOURCES = t/unit/base/tomldump.c
t_unit_base_tomldump_LDADD = $(CORE_LIBS)
check-programs: t/unit/base/tomldump
EXTRA_DIST += t/unit/base/toml.t
