# core/queue: sources and unit tests of this room
libcore_a_SOURCES += \
	core/queue/client.c core/queue/client.h \
	core/queue/deliver.c core/queue/deliver.h \
	core/queue/hosts.c core/queue/hosts.h \
	core/queue/nexthop.c core/queue/nexthop.h \
	core/queue/place.c core/queue/place.h \
	core/queue/queue.c core/queue/queue.h \
	core/queue/remedy.c core/queue/remedy.h \
	core/queue/report.c core/queue/report_text.c core/queue/report.h \
	core/queue/report_make.c core/queue/report_make.h \
	core/queue/retire.c core/queue/retire.h \
	core/queue/sched.c core/queue/sched.h \
	core/queue/submit.c core/queue/submit.h

check_PROGRAMS += t/unit/queue/remedy
t_unit_queue_remedy_SOURCES = t/unit/queue/remedy.c
t_unit_queue_remedy_CFLAGS = $(TEST_CFLAGS)
t_unit_queue_remedy_LDADD = $(TEST_LIBS)
