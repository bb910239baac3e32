/* SPDX-License-Identifier: MIT */
#include <own/own.h>
#include <stdio.h>
#include <stdlib.h>

struct limits {
	int clients_max, timeout_ms;
};
OWN_TYPE(limits, struct limits);
static struct own_cell current = OWN_CELL_INIT(&limits_type, OWN_VERSIONED,
		"limits");

int
main(void)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };

	if (limits_new(&u))
		abort();
	if (own_cell_replace(&current, &u))	/* gives u to the cell */
		abort();
	if (own_cell_share(&current, &s))	/* never waits */
		abort();
	if (own_cell_claim(&current, &u))	/* a draft: a private copy */
		abort();
	limits_edit(&u)->clients_max = 200;
	own_unique_commit(&u);			/* one store: current now */
	printf("s still reads %d\n", limits_get(&s)->clients_max);
	own_shared_release(&s);
	return 0;
}
