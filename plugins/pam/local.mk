# plugins/pam
plugin_PROGRAMS += plugins/pam/pam.so
plugins_pam_pam_so_SOURCES = plugins/pam/pam.c
plugins_pam_pam_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_pam_pam_so_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_pam_pam_so_LDADD = -lpam
