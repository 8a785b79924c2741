# core/move: mail to and from other servers and programs
libcore_a_SOURCES += core/move/progress.c core/move/progress.h \
	core/move/intake.c core/move/intake.h \
	core/move/folder_name.c core/move/folder_name.h \
	core/move/uid_list.c core/move/uid_list.h \
	core/move/maildir_in.c core/move/maildir.h \
	core/move/maildir_out.c core/move/outlet.c core/move/outlet.h \
	core/move/restore.c core/move/restore.h \
	core/move/imap_reply.c core/move/imap_reply.h \
	core/move/imap_in.c core/move/imap_in.h \
	core/move/mbox_header.c core/move/mbox_out.c core/move/mbox_in.c core/move/mbox.h
