# SPDX-License-Identifier: MIT
EXTRA_DIST += \
	%D%/design/cell.md \
	%D%/design/deadlock.md \
	%D%/design/faults.md \
	%D%/design/map.md \
	%D%/design/ordering.md \
	%D%/design/protocol.md \
	%D%/design/rcu.md \
	%D%/design/reclaim.md \
	%D%/design/reports.md \
	%D%/design/states.md \
	%D%/design/word.md \
	%D%/figures/README.md \
	%D%/figures/about.tsv \
	%D%/figures/flood.svg \
	%D%/figures/flood.tsv \
	%D%/figures/found.svg \
	%D%/figures/hour.tsv \
	%D%/figures/late.svg \
	%D%/figures/past.svg \
	%D%/figures/past.tsv \
	%D%/figures/places.svg \
	%D%/figures/waiting.tsv

own_man3 = \
	%D%/man/own_cell.3 \
	%D%/man/own_handle.3 \
	%D%/man/own_map.3 \
	%D%/man/own_reclaim.3 \
	%D%/man/own_report.3 \
	%D%/man/own_when.3
dist_man_MANS = $(own_man3) %D%/man/libown.7

# Each function finds its page by its own name: a page that includes the other.
# The names are those of the page's synopsis.
own_man3_names = sed -n -e '/^\.Sh SYNOPSIS/,/^\.Sh DESCRIPTION/ \
	s/^\.Fn \(own_[a-z0-9_]*\).*/\1/p' $(srcdir)/$$page | sort -u | \
	grep -v "^$$name$$"
own_man3_each = for page in $(own_man3); do \
	name=`basename $$page .3`; for f in `$(own_man3_names)`; do

install-data-hook:
	@$(own_man3_each) echo ".so man3/$$name.3" \
		>"$(DESTDIR)$(man3dir)/$$f.3" || exit 1; done; done

uninstall-hook:
	@$(own_man3_each) rm -f "$(DESTDIR)$(man3dir)/$$f.3"; done; done
