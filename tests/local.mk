# SPDX-License-Identifier: MIT
#
# One cmocka program a unit, linked with all objects and so with internals.
EXTRA_DIST += \
	%D%/install/racy.c \
	%D%/install/user.c \
	%D%/install/user.cc

if UNIT
if !MODEL
AM_CPPFLAGS += $(CMOCKA_CFLAGS)
unit_libs = $(LDADD) $(CMOCKA_LIBS)

unit_support = %D%/support.c %D%/support.h

unit_programs = \
	%D%/test_cell \
	%D%/test_handle
check_PROGRAMS += $(unit_programs)
TESTS += $(unit_programs)

%C%_test_cell_SOURCES = %D%/test_cell.c $(unit_support)
%C%_test_cell_LDADD = $(unit_libs)
%C%_test_handle_SOURCES = %D%/test_handle.c $(unit_support)
%C%_test_handle_LDADD = $(unit_libs)
endif
endif
