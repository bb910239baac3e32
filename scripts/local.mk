# SPDX-License-Identifier: MIT
EXTRA_DIST += \
	%D%/bench \
	%D%/bootstrap \
	%D%/check-dist \
	%D%/check-exports \
	%D%/check-format \
	%D%/check-install \
	%D%/check-rules \
	%D%/demo \
	%D%/figures \
	%D%/fresh-test \
	%D%/run-check \
	%D%/seeded-bugs \
	%D%/spin-models \
	%D%/test

# For gdb: source PREFIX/share/libown/libown-gdb.py
dist_pkgdata_DATA = %D%/libown-gdb.py
