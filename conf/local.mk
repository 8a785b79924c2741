# conf: what `make install` adds to the programs: manual pages, the systemd
# unit, the pkg-config file for plugin authors, a first config.toml.
EXTRA_DIST += conf/packages.sh conf/proof.py conf/mailroom.service.in \
	conf/mailroom.sysusers.in conf/mailroom.pc.in conf/config.toml.in \
	docs/config.toml.5.in docs/plugin-guide.md.in conf/guide.py

# [@]: config.status must not fill these in itself.
substitute = sed -e 's|[@]sbindir@|$(sbindir)|g' -e 's|[@]bindir@|$(bindir)|g' \
	-e 's|[@]sysconfdir@|$(sysconfdir)|g' -e 's|[@]prefix@|$(prefix)|g' \
	-e 's|[@]localstatedir@|$(localstatedir)|g' \
	-e 's|[@]includedir@|$(includedir)|g' -e 's|[@]plugindir@|$(plugindir)|g' \
	-e 's|[@]VERSION@|$(PACKAGE_VERSION)|g'
made = conf/mailroom.service conf/mailroom.sysusers.conf conf/mailroom.pc \
	conf/config.toml
conf/mailroom.service: conf/mailroom.service.in Makefile
conf/mailroom.sysusers.conf: conf/mailroom.sysusers.in Makefile
conf/mailroom.pc: conf/mailroom.pc.in Makefile
conf/config.toml: conf/config.toml.in Makefile
$(made):
	@mkdir -p conf
	$(AM_V_GEN)$(substitute) $< >$@.new && mv $@.new $@

pkgconfigdir = $(libdir)/pkgconfig
nodist_pkgconfig_DATA = conf/mailroom.pc
systemd_unitdir = $(systemdsystemunitdir)
nodist_systemd_unit_DATA = conf/mailroom.service
sysusersdir = $(prefix)/lib/sysusers.d
nodist_sysusers_DATA = conf/mailroom.sysusers.conf
confexampledir = $(docdir)
nodist_confexample_DATA = conf/config.toml
dist_doc_DATA = README.md $(wildcard $(srcdir)/docs/*.md)

# config.toml(5) is made from the tables that the server itself reads.
dist_man_MANS = docs/mailroomd.8 docs/mailroom.1
nodist_man_MANS = docs/config.toml.5
docs/config.toml.5: docs/config.toml.5.in mailroom$(EXEEXT)
	@mkdir -p docs
	$(AM_V_GEN)in=$(srcdir)/docs/config.toml.5.in; \
	{ $(substitute) -e '/^@SETTINGS@$$/,$$d' $$in && \
	./mailroom config man && \
	$(substitute) -e '1,/^@SETTINGS@$$/d' $$in; } >$@.new && mv $@.new $@
CLEANFILES += $(made) docs/config.toml.5

# A configuration that is there is never touched.
install-data-local: conf/config.toml
	$(MKDIR_P) "$(DESTDIR)$(sysconfdir)/mailroom"
	test -e "$(DESTDIR)$(sysconfdir)/mailroom/config.toml" || \
		$(INSTALL_DATA) conf/config.toml \
			"$(DESTDIR)$(sysconfdir)/mailroom/config.toml"
uninstall-local:
	! cmp -s conf/config.toml \
		"$(DESTDIR)$(sysconfdir)/mailroom/config.toml" || \
		rm -f "$(DESTDIR)$(sysconfdir)/mailroom/config.toml"
