# SPDX-License-Identifier: MIT
#
# Each program of stress_programs runs for a second in `make check` and for
# SECONDS in `make soak`.
if !MODEL
stress_programs +=
check_PROGRAMS += $(stress_programs)
TESTS += $(stress_programs)
endif
