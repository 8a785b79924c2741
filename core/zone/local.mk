# core/zone: what our domains want of DNS, and what is live there
libcore_a_SOURCES += core/zone/record.c core/zone/record.h \
	core/zone/spf.c core/zone/spf.h \
	core/zone/settings.c core/zone/settings.h \
	core/zone/plan.c core/zone/plan.h \
	core/zone/ask.c core/zone/ask.h \
	core/zone/verify.c core/zone/verify.h \
	core/zone/change.c core/zone/change.h core/zone/update.c

check_PROGRAMS += t/unit/zone/spf
t_unit_zone_spf_SOURCES = t/unit/zone/spf.c
t_unit_zone_spf_CFLAGS = $(TEST_CFLAGS)
t_unit_zone_spf_LDADD = $(TEST_LIBS)
