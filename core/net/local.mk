# core/net: sources and unit tests of this room
libcore_a_SOURCES += \
	core/net/deflate.c core/net/deflate.h \
	core/net/dns.c core/net/dns.h \
	core/net/limit.c core/net/limit.h \
	core/net/park.c core/net/park.h \
	core/net/proxy.c core/net/proxy.h \
	core/net/sock.c core/net/sock.h \
	core/net/stream.c core/net/stream.h \
	core/net/tls.c core/net/tls.h core/net/tls_impl.h

check_PROGRAMS += t/unit/net/stream t/unit/net/sock t/unit/net/park \
	t/unit/net/limit t/unit/net/deflate
t_unit_net_stream_SOURCES = t/unit/net/stream.c
t_unit_net_stream_CFLAGS = $(TEST_CFLAGS)
t_unit_net_stream_LDADD = $(TEST_LIBS)
t_unit_net_sock_SOURCES = t/unit/net/sock.c
t_unit_net_sock_CFLAGS = $(TEST_CFLAGS)
t_unit_net_sock_LDADD = $(TEST_LIBS)
t_unit_net_park_SOURCES = t/unit/net/park.c
t_unit_net_park_CFLAGS = $(TEST_CFLAGS)
t_unit_net_park_LDADD = $(TEST_LIBS)
t_unit_net_limit_SOURCES = t/unit/net/limit.c
t_unit_net_limit_CFLAGS = $(TEST_CFLAGS)
t_unit_net_limit_LDADD = $(TEST_LIBS)
t_unit_net_deflate_SOURCES = t/unit/net/deflate.c
t_unit_net_deflate_CFLAGS = $(TEST_CFLAGS)
t_unit_net_deflate_LDADD = $(TEST_LIBS)
