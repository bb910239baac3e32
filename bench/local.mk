# SPDX-License-Identifier: MIT
#
# Google Benchmark's flags reach shim.cc only: the rest is C.
if BENCH
if !MODEL
AM_CXXFLAGS += $(BENCHMARK_CFLAGS)
bench_libs = $(LDADD) $(BENCHMARK_LIBS)
endif
endif
