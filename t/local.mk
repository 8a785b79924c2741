# t: tests that are not of one room
EXTRA_DIST += check quickstart conf/packages.sh conf/proof.py t/run t/layers.t \
	t/lib/tap.py t/lib/server.py t/lib/wire.py t/lib/fakedns.py \
	t/lib/sink.py t/lib/milter.py

# What ./check builds and runs beside the server itself.
check-programs: $(check_PROGRAMS) libcore.a
print-check-programs:
	@echo $(check_PROGRAMS)
.PHONY: check-programs print-check-programs
