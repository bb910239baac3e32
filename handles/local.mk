# SPDX-License-Identifier: MIT
libown_all_la_SOURCES += \
	%D%/copies.c \
	%D%/deadlock.c \
	%D%/detach.c \
	%D%/gate.c \
	%D%/handle.c \
	%D%/held.c \
	%D%/internal.h \
	%D%/object.c \
	%D%/order.c \
	%D%/project.c \
	%D%/published.c \
	%D%/report-internal.h \
	%D%/report.c \
	%D%/slots.c \
	%D%/wait.c \
	%D%/when.c \
	%D%/word.c
