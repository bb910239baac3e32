# SPDX-License-Identifier: MIT
dist_check_SCRIPTS += \
	%D%/bootstrap \
	%D%/check-format \
	%D%/check-rules \
	%D%/run-check \
	%D%/spin-models
