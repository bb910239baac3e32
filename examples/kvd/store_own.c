/* SPDX-License-Identifier: MIT */
/*
 * store_own.c - an own_map in a cell
 *
 * This is what a user of libown writes: two types, whose fini frees what the
 * payload points to, a map of values, and a cell for the map that is current.
 * A command holds the map by a shared handle of the cell; an old map is
 * destroyed when the last command on it has ended.
 *
 * Under OWN_EXCLUSIVE a value changes in place while its readers wait. Under
 * OWN_VERSIONED a change is made on a copy, which the type's copy makes, and
 * SET puts an object of its own in.
 */
#include <stdlib.h>
#include <string.h>

#include "store.h"

struct own_store {
	struct store store;
	struct own_cell cell;
};

static int
value_copy(void *to, const void *from, size_t size_bytes)
{
	const struct value *v = from;
	struct value *draft = to;
	int r = value_set(draft, v->bytes, v->size);

	(void)size_bytes;
	if (!r)
		draft->expires_ms = v->expires_ms;
	return r;
}

static void
value_end(void *payload, size_t size_bytes)
{
	(void)size_bytes;
	value_fini(payload);
}

OWN_TYPE(value, struct value, .copy = value_copy, .fini = value_end);

struct set {
	struct own_map *map;
};

/* Two sets cannot have one map: sets are replaced, never changed. */
static int
set_copy(void *to, const void *from, size_t size_bytes)
{
	(void)to;
	(void)from;
	(void)size_bytes;
	return -EINVAL;
}

static void
set_end(void *payload, size_t size_bytes)
{
	(void)size_bytes;
	own_map_destroy(((struct set *)payload)->map);
}

OWN_TYPE(set, struct set, .copy = set_copy, .fini = set_end);

static struct own_cell *
cell_of(struct store *store)
{
	return &((struct own_store *)store)->cell;
}

/* An owned set with an empty map. */
OWN_UNTRACKED("hands its handle to the caller")
static int
set_make(uint32_t policy, uint64_t entries_expected, struct own_unique *ret)
{
	const struct own_map_options options = {
		.size = sizeof(options), .type = &value_type, .name = "keys",
		.entries_expected = entries_expected, .policy = policy,
	};
	int r = set_new(ret);

	if (r)
		return r;
	r = own_map_create(&options, &set_edit(ret)->map);
	if (r)
		own_unique_release(ret);
	return r;
}

OWN_UNTRACKED("the handle is from set_make()")
static int
create(uint32_t policy, struct store **ret)
{
	struct own_store *s = calloc(1, sizeof(*s));
	struct own_unique u = { 0 };
	int r = s ? set_make(policy, 0, &u) : -ENOMEM;

	if (!r)
		r = own_cell_init(&s->cell, &set_type, OWN_VERSIONED,
				"data set", &u);
	own_unique_release(&u);
	if (r) {
		free(s);
		return r;
	}
	s->store.ops = &store_own;
	s->store.policy = policy;
	*ret = &s->store;
	return 0;
}

static void
destroy(struct store *store)
{
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
enter(struct store *store, enum access access, const struct own_bytes *key,
		struct view *ret)
{
	int r = own_cell_share(cell_of(store), &ret->set);

	(void)access;
	(void)key;
	if (!r)
		ret->map = set_get(&ret->set)->map;
	return r;
}

VIEW_VERB static void
leave(struct store *store, struct view *view)
{
	(void)store;
	own_shared_release(&view->entry);
	own_shared_release(&view->set);
}

/* ---- keys ---- */

VIEW_VERB static void
drop_entry(struct view *view)
{
	own_shared_release(&view->entry);
}

VIEW_VERB static int
get(struct store *store, struct view *view, struct own_bytes key,
		const struct value **ret)
{
	int r;

	(void)store;
	own_shared_release(&view->entry);
	r = own_map_share(view->map, key, &view->entry);
	if (r)
		return r;
	if (value_expired(value_get(&view->entry))) {
		own_shared_release(&view->entry);
		return -ESTALE;
	}
	*ret = value_get(&view->entry);
	return 0;
}

/*
 * A version may be kept for as long as a client takes to read it: detached, it
 * stands when its entry and its map have gone. Under OWN_EXCLUSIVE whoever
 * changes the value would have to wait for that client.
 */
VIEW_VERB static int
keep(struct store *store, struct view *view, struct own_shared *ret)
{
	int r;

	if (store->policy != OWN_VERSIONED)
		return -ENOTSUP;
	r = own_shared_detach(&view->entry);
	if (!r)
		own_shared_move(ret, &view->entry);
	return r;
}

OWN_UNTRACKED("claims in one of two ways")
static int
edit(struct store *store, struct view *view, struct own_bytes key,
		enum when when, edit_fn fn, void *arg)
{
	struct own_unique u = { 0 };
	struct value *v;
	int made = 0, r;
	bool absent;

	(void)store;
	if (when == IF_PRESENT)
		r = own_map_claim(view->map, key, &u);
	else
		r = own_map_claim_or_new(view->map, key, &u, &made);
	if (r)
		return r;
	v = value_edit(&u);
	absent = made || value_expired(v);
	if (absent && when == IF_PRESENT) {
		r = -ENOENT;
	} else if (!absent && when == IF_ABSENT) {
		r = -EEXIST;
	} else {
		if (absent)
			v->size = 0;
		r = fn(v, absent, arg);
	}
	if (r)
		own_unique_release(&u);
	else
		own_unique_commit(&u);
	return r;
}

/* A claim would copy bytes that SET throws away: bring a new object instead. */
OWN_UNTRACKED("gives away, or releases if that fails")
static int
set_new_version(struct own_map *map, struct own_bytes key,
		struct setting *to)
{
	struct own_unique u = { 0 };
	int r = own_map_new(map, key, &u);

	if (r)
		return r;
	r = edit_set(value_edit(&u), true, to);
	if (!r)
		r = own_map_put(map, key, &u);
	own_unique_release(&u);
	return r;
}

static int
set(struct store *store, struct view *view, struct own_bytes key,
		enum when when, struct own_bytes bytes, uint64_t expires_ms)
{
	struct setting to = { bytes, expires_ms };

	if (when == ALWAYS && store->policy == OWN_VERSIONED)
		return set_new_version(view->map, key, &to);
	return edit(store, view, key, when, edit_set, &to);
}

/*
 * Through the claim, so that what was seen is what goes: nobody puts a new
 * value in between.
 */
static int
remove_if(struct own_map *map, struct own_bytes key, bool only_expired)
{
	struct own_unique u = { 0 };
	bool expired;
	int r = own_map_claim(map, key, &u);

	if (r)
		return r;
	expired = value_expired(value_edit(&u));
	if (expired || !only_expired)
		own_map_remove_held(&u);
	else
		own_unique_release(&u);
	return expired ? -ENOENT : 0;
}

static int
remove_key(struct store *store, struct view *view, struct own_bytes key)
{
	(void)store;
	drop_entry(view);
	return remove_if(view->map, key, false);
}

static void
drop_expired(struct store *store, struct view *view, struct own_bytes key)
{
	(void)store;
	drop_entry(view);
	(void)remove_if(view->map, key, true);
}

/* ---- all of it ---- */

struct visit {
	visit_fn fn;
	void *arg;
};

OWN_UNTRACKED("the handle is lent by own_map_scan()")
static int
visit_entry(const struct own_shared *entry, void *arg)
{
	const struct visit *visit = arg;

	visit->fn(own_map_key(entry), value_get(entry), visit->arg);
	return 0;
}

static int
scan(struct store *store, struct view *view, uint64_t *cursor,
		uint64_t entries_max, visit_fn fn, void *arg)
{
	struct visit visit = { fn, arg };

	(void)store;
	return own_map_scan(view->map, cursor, entries_max, visit_entry,
			&visit);
}

static uint64_t
count_keys(struct store *store, struct view *view)
{
	(void)store;
	return own_map_count(view->map);
}

static int
clear(struct store *store, struct view *view)
{
	struct own_unique whole = { 0 };
	int r = own_map_claim_all(view->map, &whole);

	(void)store;
	if (r)
		return r;
	r = own_map_clear(&whole);
	own_unique_release(&whole);
	return r;
}

static int
fill(struct own_map *map, const struct data *data)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < data->records_n; i++) {
		const struct record *from = &data->record[i];
		struct setting to = {
			own_bytes(record_value(from), from->value_size), 0,
		};

		r = set_new_version(map, own_bytes(from->key, from->key_size),
				&to);
	}
	return r;
}

OWN_UNTRACKED("the handle is from set_make()")
static int
load(struct store *store, const struct data *data)
{
	struct own_unique u = { 0 };
	int r = set_make(store->policy, data->records_n, &u);

	if (r)
		return r;
	r = fill(set_edit(&u)->map, data);
	if (!r)
		r = own_cell_replace(cell_of(store), &u);
	own_unique_release(&u);
	/* A batch counts payloads, not the maps behind them: look now. */
	own_reclaim(0);
	return r;
}

const struct store_ops store_own = {
	.name = "own", .create = create, .destroy = destroy,
	.request_begin = nothing, .request_end = nothing,
	.enter = enter, .leave = leave, .get = get, .keep = keep,
	.edit = edit, .set = set, .remove = remove_key,
	.drop_expired = drop_expired, .scan = scan, .count = count_keys,
	.clear = clear, .load = load,
};
