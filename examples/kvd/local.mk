# SPDX-License-Identifier: MIT
#
# A server and its data set writer, as a user builds them: linked with the
# installed library alone. Only the server's test needs cmocka.
EXTRA_DIST += %D%/README.md

if KVD
if !MODEL
AM_CPPFLAGS += $(KVD_CFLAGS)

noinst_PROGRAMS += \
	%D%/kvd \
	%D%/mkdata
%C%_kvd_SOURCES = \
	%D%/command.c \
	%D%/config.c \
	%D%/data.c \
	%D%/data.h \
	%D%/keys.c \
	%D%/kvd.h \
	%D%/loop.c \
	%D%/main.c \
	%D%/reply.c \
	%D%/reply.h \
	%D%/request.c \
	%D%/request.h \
	%D%/store.h \
	%D%/store_lock.c \
	%D%/store_own.c \
	%D%/table.c \
	%D%/table.h \
	%D%/value.h
%C%_kvd_LDADD = $(own_la) $(KVD_LIBS)
%C%_mkdata_SOURCES = \
	%D%/data.h \
	%D%/mkdata.c
%C%_mkdata_LDADD =

if UNIT
check_PROGRAMS += %D%/test_kvd
TESTS += %D%/test_kvd
%C%_test_kvd_SOURCES = \
	%D%/test_kvd.c \
	%D%/test_support.c \
	%D%/test_support.h
%C%_test_kvd_LDADD = $(CMOCKA_LIBS)
endif
endif
endif
