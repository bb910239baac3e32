# SPDX-License-Identifier: MIT
#
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
	%D%/peers/peers.h \
	%D%/peers/rcu_call.c \
	%D%/peers/rcu_cell.h \
	%D%/peers/rcu_inline.c \
	%D%/peers/rust.c
%C%_cell_bench_LDADD = $(bench_libs)
endif
endif

EXTRA_DIST += \
	%D%/README.md \
	%D%/peers/rust/Cargo.toml \
	%D%/peers/rust/peers.rs \
	%D%/tables.awk
