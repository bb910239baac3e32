/* SPDX-License-Identifier: MIT */
/* quick.c - the program of README: a configuration that is read and replaced */
#include <own/own.h>
#include <stdio.h>

struct limits {
	int clients_max, timeout_ms;
};

OWN_TYPE(limits, struct limits);

static struct own_cell current = OWN_CELL_INIT(&limits_type, OWN_VERSIONED,
		"limits");

static int
set_clients_max(int n)
{
	struct own_unique draft = { 0 };
	int r = own_cell_claim(&current, &draft);	/* a private copy */

	if (r)
		return r;
	limits_edit(&draft)->clients_max = n;
	own_unique_commit(&draft);	/* one store: all see it, or none */
	return 0;
}

int
main(void)
{
	struct own_shared seen = { 0 };
	struct own_unique first = { 0 };
	int r = limits_new(&first);

	if (r)
		return 1;
	r = own_cell_replace(&current, &first);		/* given away */
	if (r) {
		own_unique_release(&first);		/* or still ours */
		return 1;
	}
	r = own_cell_share(&current, &seen);		/* never waits */
	if (r)
		return 1;
	r = set_clients_max(200);
	printf("still %d\n", limits_get(&seen)->clients_max);
	own_shared_release(&seen);
	return r != 0;
}
