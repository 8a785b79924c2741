# core/report: reports of DMARC and TLS, read and written
libcore_a_SOURCES += core/report/unpack.c core/report/unpack.h \
	core/report/dmarc_read.c core/report/dmarc_read.h \
	core/report/find.c core/report/find.h \
	core/report/letter.c core/report/letter.h \
	core/report/dmarc_send.c core/report/tls_send.c core/report/outgoing.h \
	core/report/settings.c core/report/sums.h
