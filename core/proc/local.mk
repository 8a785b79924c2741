# core/proc: the two programs. What both need is in the library.
libcore_a_SOURCES += \
	core/proc/bound.c core/proc/bound.h \
	core/proc/config.c core/proc/config.h \
	core/proc/crash.c core/proc/crash.h \
	core/proc/ctl.c core/proc/ctl.h \
	core/proc/master.c core/proc/master.h \
	core/proc/priv.c core/proc/priv.h \
	core/proc/spawn.c core/proc/spawn.h \
	core/proc/team.c core/proc/team.h \
	core/proc/worker.c core/proc/worker.h

mailroomd_SOURCES = core/proc/mailroomd.c
mailroomd_LDADD = $(CORE_LIBS)
mailroomd_LDFLAGS = $(AM_LDFLAGS) $(MFAPI_LDFLAGS)
mailroom_SOURCES = core/proc/mailroom.c core/proc/cli.c core/proc/cli.h \
	core/proc/cli_account.c core/proc/cli_config.c core/proc/cli_queue.c \
	core/proc/cli_server.c
mailroom_LDADD = $(CORE_LIBS)
mailroom_LDFLAGS = $(AM_LDFLAGS) $(MFAPI_LDFLAGS)
