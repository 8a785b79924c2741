# core/proc: the two programs. What both need is in the library.
libcore_a_SOURCES += \
	core/proc/bound.c core/proc/bound.h \
	core/proc/chains.c core/proc/chains.h \
	core/proc/config.c core/proc/config.h \
	core/proc/config_route.c core/proc/config_route.h \
	core/proc/crash.c core/proc/crash.h \
	core/proc/ctl.c core/proc/ctl.h \
	core/proc/daemon.c core/proc/daemon.h \
	core/proc/daily.c core/proc/daily.h \
	core/proc/dkim_key.c core/proc/dkim_key.h \
	core/proc/dns_facts.c core/proc/dns_facts.h \
	core/proc/dns_watch.c core/proc/dns_watch.h \
	core/proc/expire.c core/proc/expire.h \
	core/proc/indexer.c core/proc/indexer.h \
	core/proc/generation.c core/proc/generation.h \
	core/proc/isolate.c core/proc/isolate.h \
	core/proc/keeper.c core/proc/keeper.h \
	core/proc/master.c core/proc/master.h \
	core/proc/milter_text.c core/proc/milter_text.h \
	core/proc/modules.c core/proc/modules.h \
	core/proc/plugin_host.c core/proc/plugin_host.h \
	core/proc/priv.c core/proc/priv.h \
	core/proc/probation.c core/proc/probation.h \
	core/proc/sandbox.c core/proc/sandbox.h \
	core/proc/spawn.c core/proc/spawn.h \
	core/proc/tally.c core/proc/tally.h \
	core/proc/team.c core/proc/team.h \
	core/proc/worker.c core/proc/worker.h

mailroomd_SOURCES = core/proc/mailroomd.c
mailroomd_LDADD = $(CORE_LIBS)
mailroomd_LDFLAGS = $(AM_LDFLAGS) $(MFAPI_LDFLAGS)
mailroom_SOURCES = core/proc/mailroom.c core/proc/cli.c core/proc/cli.h \
	core/proc/cli_account.c core/proc/cli_config.c core/proc/cli_queue.c \
	core/proc/cli_queue_pick.c core/proc/cli_queue_pick.h \
	core/proc/cli_server.c core/proc/cli_milter.c core/proc/cli_plugin.c \
	core/proc/cli_plugin_new.c core/proc/cli_plugin_rust.h \
	core/proc/cli_plugin_rust.c core/proc/cli_explain.c core/proc/cli_probe.c \
	core/proc/cli_filter.c core/proc/cli_dkim.c core/proc/cli_expire.c \
	core/proc/cli_undelete.c \
	core/proc/cli_asan.c core/proc/cli_make.c core/proc/cli_make.h \
	core/proc/cli_plugin_run.c core/proc/cli_backtest.c \
	core/proc/cli_record.c core/proc/cli_dry.h \
	core/proc/milter_proxy.c core/proc/milter_proxy.h \
	core/proc/milter_replay.c core/proc/milter_replay.h \
	core/proc/cli_trace.c core/proc/cli_audit.c \
	core/proc/cli_app_password.c core/proc/cli_ban.c core/proc/cli_mailbox.c \
	core/proc/cli_tls.c core/proc/sendmail.c core/proc/sendmail_text.c \
	core/proc/sendmail_smtp.c core/proc/sendmail.h \
	core/proc/cli_auth.c core/proc/cli_dmarc.c core/proc/cli_send.c \
	core/proc/cli_tls_report.c core/proc/cli_import.c core/proc/cli_import.h \
	core/proc/cli_import_imap.c core/proc/cli_export.c \
	core/proc/cli_backup.c core/proc/cli_index.c core/proc/cli_fsck.c \
	core/proc/cli_store.c \
	core/proc/report_box.c core/proc/report_box.h \
	core/proc/explain.c core/proc/explain.h \
	core/proc/meaning.c core/proc/meaning.h
mailroom_SOURCES += core/proc/cli_dns.c core/proc/cli_dns_apply.c \
	core/proc/dns_run.c core/proc/dns_run.h \
	core/proc/dns_show.c core/proc/dns_show.h \
	core/proc/dns_lexicon.c core/proc/dns_lexicon.h \
	core/proc/dns_ramp.c core/proc/dns_ramp.h
mailroom_LDADD = $(CORE_LIBS)
mailroom_LDFLAGS = $(AM_LDFLAGS) $(MFAPI_LDFLAGS)

# A plugin of ours as a milter. libmilter stands before the library, whose
# functions of the same names must stay out.
bin_PROGRAMS += mailroom-milter
mailroom_milter_SOURCES = core/proc/milter_export.c \
	core/proc/milter_export.h core/proc/milter_talk.c \
	core/proc/milter_edits.c
mailroom_milter_LDADD = $(MILTER_LIBS) $(CORE_LIBS)

check_PROGRAMS += t/unit/proc/tally t/unit/proc/daily
t_unit_proc_daily_SOURCES = t/unit/proc/daily.c
t_unit_proc_daily_CFLAGS = $(TEST_CFLAGS)
t_unit_proc_daily_LDADD = $(TEST_LIBS)
t_unit_proc_tally_SOURCES = t/unit/proc/tally.c
t_unit_proc_tally_CFLAGS = $(TEST_CFLAGS)
t_unit_proc_tally_LDADD = $(TEST_LIBS)
