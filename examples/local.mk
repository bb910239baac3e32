# SPDX-License-Identifier: MIT
#
# As a user builds them: linked with the installed library, $(own_la), alone.
#
#	example_programs += %D%/cell
#	%C%_cell_SOURCES = %D%/cell.c
#	%C%_cell_LDADD = $(own_la)
if !MODEL
example_programs = \
	%D%/deadlocks \
	%D%/event_loop \
	%D%/map \
	%D%/memory \
	%D%/quick \
	%D%/story \
	%D%/stuck
%C%_deadlocks_SOURCES = %D%/deadlocks.c
%C%_deadlocks_LDADD = $(own_la)
%C%_event_loop_SOURCES = %D%/event_loop.c
%C%_event_loop_LDADD = $(own_la)
%C%_map_SOURCES = %D%/map.c
%C%_map_LDADD = $(own_la)
%C%_memory_SOURCES = %D%/memory.c
%C%_memory_LDADD = $(own_la)
%C%_quick_SOURCES = %D%/quick.c
%C%_quick_LDADD = $(own_la)
%C%_story_SOURCES = %D%/story.c
%C%_story_LDADD = $(own_la)
%C%_stuck_SOURCES = %D%/stuck.c
%C%_stuck_LDADD = $(own_la)

check_PROGRAMS += $(example_programs)
TESTS += $(example_programs)
endif

include %D%/kvd/local.mk
