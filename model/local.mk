# SPDX-License-Identifier: MIT
EXTRA_DIST += \
	%D%/spin/README.md \
	%D%/spin/deadlock.pml \
	%D%/spin/map.pml \
	%D%/spin/modes.pml \
	%D%/spin/versioned.pml \
	%D%/spin/word.pml
