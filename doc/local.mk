# SPDX-License-Identifier: MIT
EXTRA_DIST += \
	%D%/design/ordering.md \
	%D%/design/protocol.md
