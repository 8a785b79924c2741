# core/queue: sources and unit tests of this room
libcore_a_SOURCES += \
	core/queue/bounce.c core/queue/bounce.h \
	core/queue/client.c core/queue/client.h \
	core/queue/conns.c core/queue/conns.h \
	core/queue/deliver.c core/queue/deliver.h \
	core/queue/destination.c core/queue/destination.h \
	core/queue/families.c core/queue/families.h \
	core/queue/hosts.c core/queue/hosts.h \
	core/queue/local.c core/queue/local.h \
	core/queue/nexthop.c core/queue/nexthop.h \
	core/queue/queue.c core/queue/queue.h \
	core/queue/retire.c core/queue/retire.h \
	core/queue/sched.c core/queue/sched.h \
	core/queue/submit.c core/queue/submit.h
