# SPDX-License-Identifier: MIT
dist_check_SCRIPTS += \
	%D%/bootstrap \
	%D%/check-exports \
	%D%/check-format \
	%D%/check-install \
	%D%/check-rules \
	%D%/run-check \
	%D%/spin-models
