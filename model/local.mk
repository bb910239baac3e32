# SPDX-License-Identifier: MIT
#
# The deterministic scheduler and its scenarios, built by --enable-model.
if MODEL
noinst_PROGRAMS += %D%/own_model
TESTS += %D%/own_model
%C%_own_model_CPPFLAGS = $(AM_CPPFLAGS) \
	-DOWN_M_FLOORS='"$(top_srcdir)/%D%/floors"'
%C%_own_model_SOURCES = \
	%D%/deadlock.c \
	%D%/engine.h \
	%D%/fiber.c \
	%D%/gate.c \
	%D%/heap.c \
	%D%/litmus.c \
	%D%/main.c \
	%D%/map.c \
	%D%/memory.c \
	%D%/order.c \
	%D%/published.c \
	%D%/report.c \
	%D%/sched.c \
	%D%/sched.h \
	%D%/search.c \
	%D%/share.c \
	%D%/state.h \
	%D%/support.c \
	%D%/support.h \
	%D%/versioned.c \
	%D%/when.c \
	%D%/word.c

# A complete search explores what the code and the scenario say. After a
# change of either this writes the numbers down anew.
model-floors: %D%/own_model
	%D%/own_model --check --write-floors
.PHONY: model-floors
endif

EXTRA_DIST += \
	%D%/README.md \
	%D%/floors \
	%D%/spin/README.md \
	%D%/spin/deadlock.pml \
	%D%/spin/map.pml \
	%D%/spin/modes.pml \
	%D%/spin/versioned.pml \
	%D%/spin/word.pml
