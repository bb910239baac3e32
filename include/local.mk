# SPDX-License-Identifier: MIT
own_headers = \
	%D%/own/access.h \
	%D%/own/base.h \
	%D%/own/cell.h \
	%D%/own/map.h \
	%D%/own/handle.h \
	%D%/own/own.h \
	%D%/own/reclaim.h \
	%D%/own/report.h \
	%D%/own/type.h \
	%D%/own/when.h

if UNINSTALLABLE
noinst_HEADERS += $(own_headers)
else
owndir = $(includedir)/own
own_HEADERS = $(own_headers)
endif
