/* SPDX-License-Identifier: MIT */
/*
 * copy_plugin.c - a plugin that uses libown, for test_copies.c
 *
 * Linked once with a copy of the library in it, twice over, and once to the
 * shared library.
 */
#include <own/own.h>

OWN_TYPE(thing, int);

OWN_API int copy_use(void);

int
copy_use(void)
{
	struct own_unique u = { 0 };
	int r = thing_new(&u);

	if (r)
		return r;
	own_unique_release(&u);
	return 0;
}
