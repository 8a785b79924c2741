# core/proc: sources and unit tests of this room
mailroomd_SOURCES = core/proc/mailroomd.c
mailroomd_LDADD = $(CORE_LIBS)
mailroom_SOURCES = core/proc/mailroom.c
mailroom_LDADD = $(CORE_LIBS)
