# SPDX-License-Identifier: MIT
EXTRA_DIST += \
	%D%/bootstrap \
	%D%/check-exports \
	%D%/check-dist \
	%D%/check-format \
	%D%/check-install \
	%D%/check-rules \
	%D%/run-check \
	%D%/spin-models \
	%D%/test
