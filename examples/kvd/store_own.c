/* SPDX-License-Identifier: MIT */
/*
 * store_own.c - the table in a versioned cell
 *
 * This is what a user of libown writes: a type whose fini frees what the
 * payload points to, a cell, share and release around each use, and a replace
 * when there is something new. Old tables are freed when nobody holds them.
 */
#include <stdlib.h>
#include <string.h>

#include "store.h"

struct own_store {
	struct store store;
	struct own_cell cell;
};

/* A draft would share the arena with its original: tables are replaced. */
static int
refuse_copy(void *to, const void *from, size_t size_bytes)
{
	(void)to;
	(void)from;
	(void)size_bytes;
	return -EINVAL;
}

static void
fini(void *payload, size_t size_bytes)
{
	(void)size_bytes;
	table_fini(payload);
}

OWN_TYPE(table, struct table, .copy = refuse_copy, .fini = fini);

static struct own_cell *
cell_of(struct store *store)
{
	return &((struct own_store *)store)->cell;
}

/* What @from points to is @to's from now on. */
static void
move(struct table *to, struct table *from)
{
	*to = *from;
	memset(from, 0, sizeof(*from));
}

static int
create(struct table *first, struct store **ret)
{
	struct own_store *s = calloc(1, sizeof(*s));
	struct own_unique u = { 0 };
	int r;

	if (!s)
		return -ENOMEM;
	r = table_new(&u);
	if (r) {
		free(s);
		return r;
	}
	move(table_edit(&u), first);
	r = own_cell_init(&s->cell, &table_type, OWN_VERSIONED, "data set",
			&u);
	if (r)
		free(s);
	own_unique_release(&u);
	if (r)
		return r;
	s->store.ops = &store_own;
	*ret = &s->store;
	return 0;
}

static void
destroy(struct store *store)
{
	if (!store)
		return;
	own_cell_destroy(cell_of(store));
	own_barrier();
	free(store);
}

static void
nothing(struct store *store)
{
	(void)store;
}

VIEW_VERB static int
enter(struct store *store, struct view *ret)
{
	int r = own_cell_share(cell_of(store), &ret->handle);

	if (r)
		return r;
	ret->table = table_get(&ret->handle);
	return 0;
}

VIEW_VERB static void
leave(struct store *store, struct view *view)
{
	(void)store;
	view->table = NULL;
	own_shared_release(&view->handle);
}

static int
replace(struct store *store, struct table *next)
{
	struct own_unique u = { 0 };
	int r = table_new(&u);

	if (r)
		return r;
	move(table_edit(&u), next);
	r = own_cell_replace(cell_of(store), &u);
	if (r) {
		own_unique_release(&u);
		return r;
	}
	/* A batch counts payloads, not the arenas behind them: look now. */
	own_reclaim(0);
	return 0;
}

const struct store_ops store_own = {
	.name = "own", .keeps = true,
	.create = create, .destroy = destroy,
	.request_begin = nothing, .request_end = nothing,
	.enter = enter, .leave = leave, .replace = replace,
};
