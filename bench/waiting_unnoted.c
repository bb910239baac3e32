/* SPDX-License-Identifier: MIT */
/*
 * waiting_unnoted.c - the loops of waiting_places.c without the store of the
 * place: every inlined store of a pointer to one is left out
 */
#include <own/access.h>

struct own_site;
#undef own__store
#define own__store(p, v, order)						\
	__builtin_choose_expr(__builtin_types_compatible_p(		\
			__typeof__(*(p)), const struct own_site *),	\
		(void)0, __atomic_store_n((p), (v), (order)))

#include "bench/waiting_places.h"

#undef OWN_HERE
#define OWN_HERE	NULL

PLACES_LOOPS(unnoted)
