# t: tests that are not of one room
EXTRA_DIST += check conf/packages.sh t/run t/layers.t

# What ./check builds and runs beside the server itself.
check-programs: $(check_PROGRAMS) libcore.a
print-check-programs:
	@echo $(check_PROGRAMS)
.PHONY: check-programs print-check-programs
