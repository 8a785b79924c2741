# core/mail: sources and unit tests of this room
libcore_a_SOURCES += core/mail/reply.c core/mail/reply.h \
	core/mail/addr.c core/mail/addr_list.c core/mail/addr.h \
	core/mail/header.c core/mail/header_decode.c core/mail/header.h \
	core/mail/charset.c core/mail/charset.h \
	core/mail/decode.c core/mail/decode.h \
	core/mail/envelope.c core/mail/envelope.h \
	core/mail/esmtp_args.c core/mail/esmtp_args.h \
	core/mail/narrow.c core/mail/narrow.h \
	core/mail/spool.c core/mail/spool.h \
	core/mail/srs.c core/mail/srs.h \
	core/mail/message.c core/mail/message_body.c \
	core/mail/message_pieces.c core/mail/message_parts.h \
	core/mail/message.h
libcore_a_SOURCES += core/mail/mime.c core/mail/mime_content.c \
	core/mail/mime_imap.c core/mail/mime_cache.c \
	core/mail/mime_preview.c core/mail/mime_thread.c \
	core/mail/mime_parts.h core/mail/mime.h

check_PROGRAMS += t/unit/mail/reply t/unit/mail/addr t/unit/mail/header \
	t/unit/mail/envelope t/unit/mail/message t/unit/mail/mime \
	t/unit/mail/decode t/unit/mail/esmtp_args t/unit/mail/srs
t_unit_mail_srs_SOURCES = t/unit/mail/srs.c
t_unit_mail_srs_CFLAGS = $(TEST_CFLAGS)
t_unit_mail_srs_LDADD = $(TEST_LIBS)
t_unit_mail_esmtp_args_SOURCES = t/unit/mail/esmtp_args.c
t_unit_mail_esmtp_args_CFLAGS = $(TEST_CFLAGS)
t_unit_mail_esmtp_args_LDADD = $(TEST_LIBS)
t_unit_mail_reply_SOURCES = t/unit/mail/reply.c
t_unit_mail_reply_CFLAGS = $(TEST_CFLAGS)
t_unit_mail_reply_LDADD = $(TEST_LIBS)
t_unit_mail_addr_SOURCES = t/unit/mail/addr.c
t_unit_mail_addr_CFLAGS = $(TEST_CFLAGS)
t_unit_mail_addr_LDADD = $(TEST_LIBS)
t_unit_mail_header_SOURCES = t/unit/mail/header.c
t_unit_mail_header_CFLAGS = $(TEST_CFLAGS)
t_unit_mail_header_LDADD = $(TEST_LIBS)
t_unit_mail_decode_SOURCES = t/unit/mail/decode.c
t_unit_mail_decode_CFLAGS = $(TEST_CFLAGS)
t_unit_mail_decode_LDADD = $(TEST_LIBS)
t_unit_mail_envelope_SOURCES = t/unit/mail/envelope.c
t_unit_mail_envelope_CFLAGS = $(TEST_CFLAGS)
t_unit_mail_envelope_LDADD = $(TEST_LIBS)
t_unit_mail_message_SOURCES = t/unit/mail/message.c
t_unit_mail_message_CFLAGS = $(TEST_CFLAGS)
t_unit_mail_message_LDADD = $(TEST_LIBS)
t_unit_mail_mime_SOURCES = t/unit/mail/mime.c
t_unit_mail_mime_CFLAGS = $(TEST_CFLAGS)
t_unit_mail_mime_LDADD = $(TEST_LIBS)

# mime.t's window on the parser; no test by itself.
EXTRA_PROGRAMS += t/unit/mail/mimedump
t_unit_mail_mimedump_SOURCES = t/unit/mail/mimedump.c
t_unit_mail_mimedump_LDADD = $(CORE_LIBS)
check-programs: t/unit/mail/mimedump t/unit/mail/narrowdump
EXTRA_PROGRAMS += t/unit/mail/narrowdump
t_unit_mail_narrowdump_SOURCES = t/unit/mail/narrowdump.c
t_unit_mail_narrowdump_LDADD = $(CORE_LIBS)
EXTRA_DIST += t/unit/mail/mime.t t/unit/mail/narrow.t t/lib/unit.h
