#!/bin/sh
# test: alone timeout=900
# Each parser's fuzz entry for some seconds; longer: make fuzz.
exec "$(dirname "$0")/run" "${FUZZ_SECONDS:-4}"
