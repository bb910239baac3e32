# SPDX-License-Identifier: MIT
#
# Each program of stress_programs runs for a second in `make check` and for
# SECONDS in `make soak`.
if !MODEL
stress_programs += \
	%D%/cell_stress \
	%D%/handles_stress \
	%D%/legal_waits \
	%D%/linear_stress \
	%D%/map_stress \
	%D%/reclaim_flood \
	%D%/refcount_stress \
	%D%/when_stress
%C%_cell_stress_SOURCES = \
	%D%/cell_exclusive.c \
	%D%/cell_lives.c \
	%D%/cell_stress.c \
	%D%/cell_stress.h \
	%D%/cell_versioned.c \
	%D%/cell_waits.c \
	%D%/driver.c \
	%D%/driver.h \
	%D%/forms.c \
	%D%/forms.h
%C%_handles_stress_SOURCES = \
	%D%/driver.c \
	%D%/driver.h \
	%D%/forms.c \
	%D%/forms.h \
	%D%/handles_stress.c
%C%_legal_waits_SOURCES = \
	%D%/driver.c \
	%D%/driver.h \
	%D%/forms.c \
	%D%/forms.h \
	%D%/legal_waits.c
# It counts what goes through these.
%C%_legal_waits_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=own_i_wait,--wrap=own_i_deadlock_check
%C%_linear_stress_SOURCES = \
	%D%/driver.c \
	%D%/driver.h \
	%D%/linear.c \
	%D%/linear.h \
	%D%/linear_cell.c \
	%D%/linear_known.c \
	%D%/linear_map.c \
	%D%/linear_spec.c \
	%D%/linear_stress.c \
	%D%/linear_stress.h \
	%D%/linear_value.c \
	%D%/linear_value.h \
	%D%/linear_wrong.c
%C%_map_stress_SOURCES = \
	%D%/driver.c \
	%D%/driver.h \
	%D%/forms.c \
	%D%/forms.h \
	%D%/map_churn.c \
	%D%/map_gate.c \
	%D%/map_growth.c \
	%D%/map_keys.c \
	%D%/map_lives.c \
	%D%/map_stress.c \
	%D%/map_stress.h \
	%D%/map_whole.c
%C%_reclaim_flood_SOURCES = \
	%D%/driver.c \
	%D%/driver.h \
	%D%/reclaim_flood.c
%C%_refcount_stress_SOURCES = \
	%D%/driver.c \
	%D%/driver.h \
	%D%/refcount_stress.c
%C%_when_stress_SOURCES = \
	%D%/driver.c \
	%D%/driver.h \
	%D%/forms.c \
	%D%/forms.h \
	%D%/when_stress.c

check_PROGRAMS += $(stress_programs)
TESTS += $(stress_programs)
endif

EXTRA_DIST += %D%/README.md
