# SPDX-License-Identifier: MIT
dist_check_SCRIPTS += \
	%D%/run-check
