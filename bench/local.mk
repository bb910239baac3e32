# SPDX-License-Identifier: MIT
#
# It looks at waits from within, and needs no Google Benchmark.
if !MODEL
check_PROGRAMS += %D%/waiting
TESTS += %D%/waiting
%C%_waiting_SOURCES = \
	%D%/hist.h \
	%D%/waiting.c \
	%D%/waiting.h \
	%D%/waiting_found.c \
	%D%/waiting_late.c \
	%D%/waiting_past.c \
	%D%/waiting_places.c \
	%D%/waiting_places.h \
	%D%/waiting_unnoted.c
%C%_waiting_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=own_i_wait
endif

# Google Benchmark's flags reach shim.cc only: the rest is C.
if BENCH
if !MODEL
AM_CXXFLAGS += $(BENCHMARK_CFLAGS)
bench_libs = $(own_la) $(URCU_LIBS) $(BENCHMARK_LIBS)

bench_shim = \
	%D%/shim.cc \
	%D%/shim.h

# Linked as a user's program is: against the library that is installed.
check_PROGRAMS += %D%/cell_bench
%C%_cell_bench_SOURCES = \
	$(bench_shim) \
	%D%/cell_bench.c \
	%D%/cell_cases.h \
	%D%/hist.h \
	%D%/peers/peers.h \
	%D%/peers/rcu_call.c \
	%D%/peers/rcu_cell.h \
	%D%/peers/rcu_inline.c \
	%D%/peers/rust.c
%C%_cell_bench_LDADD = $(bench_libs)

check_PROGRAMS += %D%/map_bench
%C%_map_bench_SOURCES = \
	$(bench_shim) \
	%D%/hist.h \
	%D%/map_bench.c \
	%D%/map_cases.h \
	%D%/map_memory.c \
	%D%/map_memory.h \
	%D%/map_own.c \
	%D%/map_runs.h \
	%D%/peers/map_lfht.c \
	%D%/peers/map_locks.c \
	%D%/peers/map_rcu.h \
	%D%/peers/map_table.h \
	%D%/peers/maps.h
%C%_map_bench_CPPFLAGS = $(AM_CPPFLAGS)
%C%_map_bench_LDADD = $(bench_libs) -lurcu-cds
if CK
%C%_map_bench_SOURCES += %D%/peers/map_ck.c
%C%_map_bench_CPPFLAGS += $(CK_CFLAGS) -DBENCH_CK
%C%_map_bench_LDADD += $(CK_LIBS)
endif
endif
endif

EXTRA_DIST += \
	%D%/README.md \
	%D%/figures.awk \
	%D%/figures.gp \
	%D%/peers/rust/Cargo.toml \
	%D%/peers/rust/peers.rs \
	%D%/tables.awk
