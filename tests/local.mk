# SPDX-License-Identifier: MIT
#
# One cmocka program a unit, linked with all objects and so with internals.
EXTRA_DIST += \
	%D%/install/racy.c \
	%D%/install/user.c \
	%D%/install/user.cc

# Once is enough: the checked library's records are laid out the same.
dist_check_SCRIPTS += %D%/test_gdb
if !MODEL
check_PROGRAMS += %D%/test_gdb_program
%C%_test_gdb_program_SOURCES = %D%/test_gdb_program.c
if !CHECKED
TESTS += %D%/test_gdb
endif
endif

if UNIT
if !MODEL
AM_CPPFLAGS += $(CMOCKA_CFLAGS)
unit_libs = $(LDADD) $(CMOCKA_LIBS)

unit_support = %D%/support.c %D%/support.h

unit_programs = \
	%D%/test_access \
	%D%/test_alloc \
	%D%/test_cell \
	%D%/test_copies \
	%D%/test_deadlock \
	%D%/test_faults \
	%D%/test_faults_held \
	%D%/test_faults_stale \
	%D%/test_fork \
	%D%/test_handle \
	%D%/test_held \
	%D%/test_map \
	%D%/test_map_held \
	%D%/test_map_scan \
	%D%/test_map_whole \
	%D%/test_order \
	%D%/test_project \
	%D%/test_rcu \
	%D%/test_reclaim \
	%D%/test_report \
	%D%/test_seccomp \
	%D%/test_signals \
	%D%/test_slots \
	%D%/test_states \
	%D%/test_type \
	%D%/test_wait \
	%D%/test_when \
	%D%/test_word
check_PROGRAMS += $(unit_programs)
TESTS += $(unit_programs)

%C%_test_access_SOURCES = %D%/test_access.c $(unit_support)
%C%_test_access_LDADD = $(unit_libs)
%C%_test_alloc_SOURCES = %D%/test_alloc.c $(unit_support)
%C%_test_alloc_LDADD = $(unit_libs)
%C%_test_cell_SOURCES = %D%/test_cell.c $(unit_support)
%C%_test_cell_LDADD = $(unit_libs)
%C%_test_copies_SOURCES = %D%/test_copies.c $(unit_support)
# no symbol of the program's copy where an executable exports all it has, as
# with clang's sanitizers
%C%_test_copies_LDFLAGS = $(AM_LDFLAGS) -Wl,--exclude-libs,libown-all.a
%C%_test_copies_LDADD = $(unit_libs) -ldl
%C%_test_deadlock_SOURCES = %D%/test_deadlock.c $(unit_support)
%C%_test_deadlock_LDADD = $(unit_libs)
%C%_test_faults_SOURCES = %D%/test_faults.c %D%/map_support.h \
	$(unit_support)
%C%_test_faults_LDADD = $(unit_libs)
%C%_test_faults_held_SOURCES = %D%/test_faults_held.c %D%/map_support.h \
	$(unit_support)
%C%_test_faults_held_LDADD = $(unit_libs)
%C%_test_faults_stale_SOURCES = %D%/test_faults_stale.c %D%/map_support.h \
	$(unit_support)
%C%_test_faults_stale_LDADD = $(unit_libs)
%C%_test_fork_SOURCES = %D%/test_fork.c %D%/map_support.h $(unit_support)
%C%_test_fork_LDADD = $(unit_libs)
%C%_test_handle_SOURCES = %D%/test_handle.c $(unit_support)
%C%_test_handle_LDADD = $(unit_libs)
%C%_test_held_SOURCES = %D%/test_held.c %D%/map_support.h $(unit_support)
%C%_test_held_LDADD = $(unit_libs)
%C%_test_map_SOURCES = %D%/test_map.c %D%/map_support.h $(unit_support)
%C%_test_map_LDADD = $(unit_libs)
%C%_test_map_held_SOURCES = %D%/test_map_held.c %D%/map_support.h \
	$(unit_support)
%C%_test_map_held_LDADD = $(unit_libs)
%C%_test_map_scan_SOURCES = %D%/test_map_scan.c %D%/map_support.h \
	$(unit_support)
%C%_test_map_scan_LDADD = $(unit_libs)
%C%_test_map_whole_SOURCES = %D%/test_map_whole.c %D%/map_support.h \
	$(unit_support)
%C%_test_map_whole_LDADD = $(unit_libs)
%C%_test_order_SOURCES = %D%/test_order.c $(unit_support)
%C%_test_order_LDADD = $(unit_libs)
%C%_test_project_SOURCES = %D%/test_project.c $(unit_support)
%C%_test_project_LDADD = $(unit_libs)
%C%_test_rcu_SOURCES = %D%/test_rcu.c $(unit_support)
%C%_test_rcu_LDADD = $(unit_libs)
%C%_test_reclaim_SOURCES = %D%/test_reclaim.c $(unit_support)
%C%_test_reclaim_LDADD = $(unit_libs)
%C%_test_report_SOURCES = %D%/test_report.c $(unit_support)
%C%_test_report_LDADD = $(unit_libs)
%C%_test_seccomp_SOURCES = %D%/test_seccomp.c %D%/map_support.h \
	$(unit_support)
%C%_test_seccomp_LDADD = $(unit_libs)
%C%_test_signals_SOURCES = %D%/test_signals.c $(unit_support)
%C%_test_signals_LDADD = $(unit_libs)
%C%_test_slots_SOURCES = %D%/test_slots.c $(unit_support)
%C%_test_slots_LDADD = $(unit_libs)
%C%_test_states_CPPFLAGS = $(AM_CPPFLAGS) \
	-DSTATES_MD='"$(top_srcdir)/doc/design/states.md"'
%C%_test_states_SOURCES = %D%/test_states.c $(unit_support)
%C%_test_states_LDADD = $(unit_libs)
%C%_test_type_SOURCES = %D%/test_type.c $(unit_support)
%C%_test_type_LDADD = $(unit_libs)
%C%_test_wait_SOURCES = %D%/test_wait.c $(unit_support)
%C%_test_wait_LDADD = $(unit_libs)
%C%_test_when_SOURCES = %D%/test_when.c %D%/map_support.h $(unit_support)
%C%_test_when_LDADD = $(unit_libs)
%C%_test_word_SOURCES = %D%/test_word.c $(unit_support)
%C%_test_word_LDADD = $(unit_libs)

# Plugins for test_copies: two have a copy of the library in them, two use the
# shared one.
check_LTLIBRARIES += \
	%D%/copy_linked.la \
	%D%/copy_linked_too.la \
	%D%/copy_one.la \
	%D%/copy_two.la
copy_ldflags = $(AM_LDFLAGS) -module -avoid-version -rpath /nowhere \
	-export-symbols-regex '^copy_'
copy_linked_ldflags = $(copy_ldflags) -Wl,-rpath,$(abs_top_builddir)/.libs
%C%_copy_linked_la_SOURCES = %D%/copy_plugin.c
%C%_copy_linked_la_LDFLAGS = $(copy_linked_ldflags)
%C%_copy_linked_la_LIBADD = $(own_la)
%C%_copy_linked_too_la_SOURCES = %D%/copy_plugin.c
%C%_copy_linked_too_la_LDFLAGS = $(copy_linked_ldflags)
%C%_copy_linked_too_la_LIBADD = $(own_la)
%C%_copy_one_la_SOURCES = %D%/copy_plugin.c
%C%_copy_one_la_LDFLAGS = $(copy_ldflags)
%C%_copy_one_la_LIBADD = libown-all.la $(URCU_LIBS)
%C%_copy_two_la_SOURCES = %D%/copy_plugin.c
%C%_copy_two_la_LDFLAGS = $(copy_ldflags)
%C%_copy_two_la_LIBADD = libown-all.la $(URCU_LIBS)
endif
endif
