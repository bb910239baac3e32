/* SPDX-License-Identifier: MIT */
/*
 * test_gdb_program.c - what tests/test_gdb looks at: one handle of each kind,
 * then own_dump() to compare with
 */
#include <own/own.h>
#include <unistd.h>

struct item {
	int n;
};
OWN_TYPE(item, struct item);

struct own_cell cell = OWN_CELL_INIT(&item_type, OWN_VERSIONED, "the cell");
struct own_cell place = OWN_CELL_INIT(&item_type, OWN_EXCLUSIVE, "the place");
struct own_shared nothing, shared, detached, stale, entry, numbered;
struct own_unique unique, draft, owned;
static const struct own_site mine = { "mine.c", 11 };

void stop_here(void);

__attribute__((noinline)) void
stop_here(void)
{
	(void)own_dump(STDOUT_FILENO);
}

OWN_UNTRACKED("hands its handle to the caller") static int
map_of(uint32_t flags, struct own_bytes key, struct own_map **map,
		struct own_shared *ret)
{
	struct own_map_options o = {
		.size = sizeof(o), .type = &item_type, .name = "the map",
		.policy = OWN_VERSIONED, .flags = flags,
	};
	struct own_unique u = { 0 };

	return own_map_create(&o, map) || own_map_new(*map, key, &u) ||
		own_map_put(*map, key, &u) ||
		own__map_share_any(*map, key, OWN__FOREVER, ret, &mine);
}

OWN_UNTRACKED("acquires all of them in one condition") int
main(void)
{
	struct own_map *texts = NULL, *numbers = NULL;
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };

	if (item_new(&u) || own_cell_replace(&cell, &u) || item_new(&u) ||
			own_cell_replace(&place, &u) || item_new(&owned))
		return 1;
	if (own_cell_share(&cell, &s))
		return 1;
	stale = s;
	own_shared_release(&s);
	if (own_cell_share_at(&cell, &shared, &mine) ||
			own_cell_share(&cell, &detached) ||
			own_shared_detach(&detached) ||
			own_cell_claim_at(&cell, &draft, &mine) ||
			own_cell_claim_at(&place, &unique, &mine) ||
			map_of(0, own_bytes("a key", 5), &texts, &entry) ||
			map_of(OWN_MAP_U64, own__u64(77), &numbers, &numbered))
		return 1;
	stop_here();
	own_shared_release(&shared);
	own_shared_release(&detached);
	own_shared_release(&entry);
	own_shared_release(&numbered);
	own_unique_release(&unique);
	own_unique_release(&draft);
	own_unique_release(&owned);
	own_map_destroy(texts);
	own_map_destroy(numbers);
	own_cell_destroy(&cell);
	own_cell_destroy(&place);
	return 0;
}
