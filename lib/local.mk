# SPDX-License-Identifier: MIT
libown_all_la_SOURCES += \
	%D%/cell.c \
	%D%/map.c \
	%D%/map-hash.c \
	%D%/map-internal.h \
	%D%/map-scan.c \
	%D%/map-table.c \
	%D%/pending.c \
	%D%/rcu.c \
	%D%/rcu.h \
	%D%/reclaim.c \
	%D%/reclaim-internal.h

# The installed library: the same objects behind a version script. Never
# unloaded, since threads may still run its destructors.
own_library_ldflags = $(AM_LDFLAGS) -version-info $(OWN_VERSION_INFO) \
	-Wl,--version-script=$(top_srcdir)/%D%/libown.map -Wl,-z,nodelete

EXTRA_DIST += %D%/libown.map

# A model build has no shared accesses of its own: they are in the scheduler,
# which only model/own_model links.
if !MODEL
if CHECKED
lib_LTLIBRARIES += libown-checked.la
own_la = libown-checked.la
libown_checked_la_SOURCES =
libown_checked_la_LIBADD = libown-all.la $(URCU_LIBS)
libown_checked_la_LDFLAGS = $(own_library_ldflags)
libown_checked_la_DEPENDENCIES = libown-all.la %D%/libown.map
else
lib_LTLIBRARIES += libown.la
own_la = libown.la
libown_la_SOURCES =
libown_la_LIBADD = libown-all.la $(URCU_LIBS)
libown_la_LDFLAGS = $(own_library_ldflags)
libown_la_DEPENDENCIES = libown-all.la %D%/libown.map
endif
endif
