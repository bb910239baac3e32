# SPDX-License-Identifier: MIT
EXTRA_DIST += \
	%D%/design/protocol.md
