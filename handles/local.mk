# SPDX-License-Identifier: MIT
libown_all_la_SOURCES += \
	%D%/internal.h \
	%D%/slots.c \
	%D%/wait.c
