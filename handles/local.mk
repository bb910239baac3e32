# SPDX-License-Identifier: MIT
libown_all_la_SOURCES += \
	%D%/deadlock.c \
	%D%/gate.c \
	%D%/handle.c \
	%D%/internal.h \
	%D%/object.c \
	%D%/order.c \
	%D%/report.c \
	%D%/slots.c \
	%D%/wait.c \
	%D%/word.c
