# core/serve: sources and unit tests of this room
libcore_a_SOURCES += \
	core/serve/serve.c core/serve/serve.h \
	core/serve/session.c core/serve/session.h \
	core/serve/smtp.c core/serve/smtp.h \
	core/serve/smtp_auth.c \
	core/serve/smtp_body.c core/serve/smtp_body.h \
	core/serve/smtp_data.c \
	core/serve/smtp_mail.c \
	core/serve/smtp_xclient.c \
	core/serve/watch.c core/serve/watch.h
