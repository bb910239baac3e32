# SPDX-License-Identifier: MIT
#
# One cmocka program a unit, linked with all objects and so with internals.
# Each is one name in unit_programs, and
#
#	%C%_test_word_SOURCES = %D%/test_word.c
#	%C%_test_word_LDADD = $(unit_libs)
EXTRA_DIST += \
	%D%/install/racy.c \
	%D%/install/user.c \
	%D%/install/user.cc

if UNIT
if !MODEL
AM_CPPFLAGS += $(CMOCKA_CFLAGS)
unit_libs = $(LDADD) $(CMOCKA_LIBS)

unit_programs =
check_PROGRAMS += $(unit_programs)
TESTS += $(unit_programs)
endif
endif
