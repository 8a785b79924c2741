# core/serve: sources and unit tests of this room
libcore_a_SOURCES += \
	core/serve/guard.c core/serve/guard.h \
	core/serve/imap.c core/serve/imap.h \
	core/serve/imap_acl.c core/serve/imap_acl.h \
	core/serve/imap_box.c core/serve/imap_box.h \
	core/serve/imap_idle.c \
	core/serve/imap_learn.c \
	core/serve/imap_list.c \
	core/serve/imap_login.c \
	core/serve/imap_mailbox.c \
	core/serve/imap_metadata.c core/serve/imap_metadata.h \
	core/serve/imap_name.c \
	core/serve/imap_noted.c \
	core/serve/imap_notify.c core/serve/imap_notify.h \
	core/serve/imap_place.c core/serve/imap_place.h \
	core/serve/imap_quota.c \
	core/serve/imap_parse.c core/serve/imap_parse.h \
	core/serve/imap_read.c \
	core/serve/imap_select.c \
	core/serve/imap_sync.c \
	core/serve/learn.c core/serve/learn.h \
	core/serve/pickup.c core/serve/pickup.h \
	core/serve/pop3.c core/serve/pop3.h \
	core/serve/pop3_auth.c \
	core/serve/pop3_mail.c \
	core/serve/row_cache.c core/serve/row_cache.h \
	core/serve/serve.c core/serve/serve.h \
	core/serve/session.c core/serve/session.h \
	core/serve/smtp.c core/serve/smtp.h \
	core/serve/smtp_args.c core/serve/smtp_auth.c \
	core/serve/smtp_bdat.c \
	core/serve/smtp_body.c core/serve/smtp_body.h \
	core/serve/smtp_data.c core/serve/smtp_dry.c core/serve/smtp_dry.h \
	core/serve/smtp_life.c core/serve/smtp_rejected.c \
	core/serve/smtp_mail.c core/serve/smtp_stamp.c \
	core/serve/smtp_xclient.c \
	core/serve/watch.c core/serve/watch.h

# IMAP: what is done to messages
libcore_a_SOURCES += \
	core/serve/imap_admin.c core/serve/imap_admin.h \
	core/serve/imap_append.c \
	core/serve/imap_body.c core/serve/imap_body.h \
	core/serve/imap_context.c core/serve/imap_context.h \
	core/serve/imap_copy.c \
	core/serve/imap_fetch.c core/serve/imap_fetch.h \
	core/serve/imap_envelope.c core/serve/imap_envelope.h \
	core/serve/imap_items.c \
	core/serve/imap_keys.c \
	core/serve/index_fill.c core/serve/index_fill.h \
	core/serve/imap_index.c core/serve/imap_index.h \
	core/serve/imap_legible.c core/serve/imap_legible.h \
	core/serve/imap_match.c \
	core/serve/imap_limit.c core/serve/imap_limit.h \
	core/serve/imap_multisearch.c \
	core/serve/imap_order.c core/serve/imap_order.h \
	core/serve/imap_object.c core/serve/imap_object.h \
	core/serve/imap_out.c core/serve/imap_out.h \
	core/serve/imap_plan.c \
	core/serve/imap_progress.c core/serve/imap_progress.h \
	core/serve/imap_result.c core/serve/imap_result.h \
	core/serve/imap_rows.c core/serve/imap_rows.h \
	core/serve/imap_search.c core/serve/imap_thread.c \
	core/serve/imap_subject.c core/serve/imap_subject.h core/serve/imap_search.h \
	core/serve/imap_section.c \
	core/serve/imap_store.c \
	core/serve/imap_text.c core/serve/imap_text.h \
	core/serve/imap_thread_subject.c \
	core/serve/imap_url.c core/serve/imap_url.h

check_PROGRAMS += t/unit/serve/imap_parse t/unit/serve/imap_box \
	t/unit/serve/imap_name t/unit/serve/imap_sync t/unit/serve/row_cache
t_unit_serve_row_cache_SOURCES = t/unit/serve/row_cache.c
t_unit_serve_row_cache_CFLAGS = $(TEST_CFLAGS)
t_unit_serve_row_cache_LDADD = $(TEST_LIBS)
t_unit_serve_imap_parse_SOURCES = t/unit/serve/imap_parse.c
t_unit_serve_imap_parse_CFLAGS = $(TEST_CFLAGS)
t_unit_serve_imap_parse_LDADD = $(TEST_LIBS)
t_unit_serve_imap_box_SOURCES = t/unit/serve/imap_box.c
t_unit_serve_imap_box_CFLAGS = $(TEST_CFLAGS)
t_unit_serve_imap_box_LDADD = $(TEST_LIBS)
check_PROGRAMS += t/unit/serve/imap_url
t_unit_serve_imap_url_SOURCES = t/unit/serve/imap_url.c
t_unit_serve_imap_url_CFLAGS = $(TEST_CFLAGS)
t_unit_serve_imap_url_LDADD = $(TEST_LIBS)
t_unit_serve_imap_name_SOURCES = t/unit/serve/imap_name.c
t_unit_serve_imap_name_CFLAGS = $(TEST_CFLAGS)
t_unit_serve_imap_name_LDADD = $(TEST_LIBS)

check_PROGRAMS += t/unit/serve/imap_fetch t/unit/serve/imap_search
t_unit_serve_imap_fetch_SOURCES = t/unit/serve/imap_fetch.c \
	t/unit/serve/fakestore.c t/unit/serve/fakestore.h
t_unit_serve_imap_fetch_CFLAGS = $(TEST_CFLAGS)
t_unit_serve_imap_fetch_LDADD = $(TEST_LIBS)
t_unit_serve_imap_search_SOURCES = t/unit/serve/imap_search.c \
	t/unit/serve/fakestore.c t/unit/serve/fakestore.h
t_unit_serve_imap_search_CFLAGS = $(TEST_CFLAGS)
t_unit_serve_imap_search_LDADD = $(TEST_LIBS)
t_unit_serve_imap_sync_SOURCES = t/unit/serve/imap_sync.c
t_unit_serve_imap_sync_CFLAGS = $(TEST_CFLAGS)
t_unit_serve_imap_sync_LDADD = $(TEST_LIBS)

check_PROGRAMS += t/unit/serve/pop3
t_unit_serve_pop3_SOURCES = t/unit/serve/pop3.c
t_unit_serve_pop3_CFLAGS = $(TEST_CFLAGS)
t_unit_serve_pop3_LDADD = $(TEST_LIBS)
