# core/queue: sources and unit tests of this room
libcore_a_SOURCES += \
	core/queue/client.c core/queue/client.h core/queue/client_parts.h \
	core/queue/client_send.c \
	core/queue/conns.c core/queue/conns.h \
	core/queue/dane.c core/queue/dane.h \
	core/queue/deliver.c core/queue/deliver.h \
	core/queue/destination.c core/queue/destination.h \
	core/queue/drop.c core/queue/drop.h \
	core/queue/families.c core/queue/families.h \
	core/queue/hosts.c core/queue/hosts.h \
	core/queue/local.c core/queue/local.h \
	core/queue/nexthop.c core/queue/nexthop.h \
	core/queue/place.c core/queue/place.h \
	core/queue/queue.c core/queue/queue.h \
	core/queue/queue_claim.c core/queue/queue_work.c \
	core/queue/queue_parts.h \
	core/queue/remedy.c core/queue/remedy.h \
	core/queue/report.c core/queue/report_text.c core/queue/report.h \
	core/queue/report_make.c core/queue/report_make.h \
	core/queue/retire.c core/queue/retire.h \
	core/queue/sched.c core/queue/sched.h \
	core/queue/sts.c core/queue/sts.h \
	core/queue/submit.c core/queue/submit.h \
	core/queue/tls_known.c core/queue/tls_known.h \
	core/queue/tls_policy.c core/queue/tls_policy.h

check_PROGRAMS += t/unit/queue/sched t/unit/queue/destination \
	t/unit/queue/nexthop t/unit/queue/families t/unit/queue/remedy
t_unit_queue_families_SOURCES = t/unit/queue/families.c
t_unit_queue_families_CFLAGS = $(TEST_CFLAGS)
t_unit_queue_families_LDADD = $(TEST_LIBS)
t_unit_queue_sched_SOURCES = t/unit/queue/sched.c
t_unit_queue_sched_CFLAGS = $(TEST_CFLAGS)
t_unit_queue_sched_LDADD = $(TEST_LIBS)
t_unit_queue_destination_SOURCES = t/unit/queue/destination.c
t_unit_queue_destination_CFLAGS = $(TEST_CFLAGS)
t_unit_queue_destination_LDADD = $(TEST_LIBS)
t_unit_queue_nexthop_SOURCES = t/unit/queue/nexthop.c
t_unit_queue_nexthop_CFLAGS = $(TEST_CFLAGS)
t_unit_queue_nexthop_LDADD = $(TEST_LIBS)
t_unit_queue_remedy_SOURCES = t/unit/queue/remedy.c
t_unit_queue_remedy_CFLAGS = $(TEST_CFLAGS)
t_unit_queue_remedy_LDADD = $(TEST_LIBS)
