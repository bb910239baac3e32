/* SPDX-License-Identifier: MIT */
/*
 * forms.c - see forms.h
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <own/own.h>

#include "stress/forms.h"

/* Later than this is no busy machine any more but a wait that got lost. */
#define LATE_NS		((uint64_t)2000000000)
#define TIMEOUT_NS	200000u

unsigned
form_draw(struct stress_thread *t, unsigned forms)
{
	unsigned form;

	do
		form = 1u << stress_below(t, 3);
	while (!(form & forms));
	return form;
}

uint64_t
form_deadline(struct stress_thread *t)
{
	return own_deadline_ns(stress_below(t, TIMEOUT_NS));
}

int
form_judge(struct stress_thread *t, unsigned form, uint64_t deadline_ns,
		int r, const int *others)
{
	uint64_t now;
	char why[1024];

	if (r == 0 || (r == -EBUSY && form == TRY))
		return r;
	if (r == -ETIMEDOUT && form == TIMED) {
		now = own_now_ns();
		if (now < deadline_ns)
			stress_fail(t, "-ETIMEDOUT %" PRIu64 " ns early",
					deadline_ns - now);
		if (now - deadline_ns > LATE_NS)
			stress_fail(t, "-ETIMEDOUT %" PRIu64 " ms late",
					(now - deadline_ns) / 1000000);
		stress_waited(t, now - deadline_ns);
		return r;
	}
	for (; others && *others; others++)
		if (r == *others)
			return r;
	own_conflict_text(own_conflict_last(), why, sizeof why);
	stress_fail(t, "unexpected answer %d (%s): %s", r, strerror(abs(r)),
			why);
}

void
must(struct stress_thread *t, int r, const char *what)
{
	if (r)
		stress_fail(t, "%s: %s", what, strerror(r < 0 ? -r : r));
}
