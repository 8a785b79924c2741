# t/plug/export: plugins of ours that mailroom-milter serves.
export_modules = t/plug/export/orders.so t/plug/export/light.so \
	t/plug/export/auth.so
t/plug/export/auth.so: t/plug/export/light.c
	@mkdir -p $(@D)
	$(AM_V_CCLD)$(CC) $(AM_CPPFLAGS) $(MFAPI_FILTER_CFLAGS) -fPIC \
		$(CFLAGS) -shared -DWITH_AUTH -o $@ $<
t/plug/export/%.so: t/plug/export/%.c
	@mkdir -p $(@D)
	$(AM_V_CCLD)$(CC) $(AM_CPPFLAGS) $(MFAPI_FILTER_CFLAGS) -fPIC \
		$(CFLAGS) -shared -o $@ $<
check-programs: $(export_modules)
CLEANFILES += $(export_modules)
