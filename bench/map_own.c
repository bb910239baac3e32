/* SPDX-License-Identifier: MIT */
/* map_own.c - own/map.h as a subject, under both policies */
#include <stdlib.h>

#include <own/own.h>
#include <own/map.h>
#include "bench/map_cases.h"
#include "bench/peers/maps.h"

struct small {
	uint32_t word[MAP_WORDS_SMALL];
};

struct large {
	uint32_t word[MAP_WORDS_LARGE];
};

OWN_TYPE(small, struct small);
OWN_TYPE(large, struct large);

static uint64_t
hash(const void *data, size_t size_bytes, uint64_t seed)
{
	uint64_t key;

	(void)size_bytes;
	(void)seed;
	memcpy(&key, data, sizeof(key));
	return map_hash(key);
}

static void *
create(unsigned words, uint32_t policy)
{
	const struct own_map_options options = {
		.size = sizeof(options),
		.type = words == MAP_WORDS_SMALL ? &small_type : &large_type,
		.name = "bench",
		.hash = hash,
		.policy = policy,
		.flags = OWN_MAP_U64,
	};
	struct own_map *map;

	return own_map_create(&options, &map) ? NULL : map;
}

static void
destroy(void *map)
{
	own_map_destroy(map);
}

static void
filled(void *map, uint64_t entries)
{
	(void)map;
	(void)entries;
}

static void
enter(void)
{
	if (own_thread_register())
		abort();
}

static void
leave(void)
{
}

static void
settle(void)
{
	if (own_barrier())
		abort();
}

OWN__VERB_BODY MAP_INLINE int
insert(void *map, uint64_t key, unsigned words)
{
	struct own_unique u = { 0 };

	if (own_map_new_u64(map, key, &u))
		return -1;
	map_value_set(own_unique_edit(&u), words, key, 0);
	if (!own_map_put_new_u64(map, key, &u))
		return 0;
	own_unique_release(&u);
	return -1;
}

MAP_INLINE int
take_out(void *map, uint64_t key)
{
	return own_map_remove_u64(map, key);
}

OWN__VERB_BODY MAP_INLINE uint32_t
look(void *map, uint64_t key, unsigned words, uint32_t *ret_count)
{
	struct own_shared held = { 0 };
	const uint32_t *word;
	uint32_t bad;

	if (own_map_share_u64(map, key, &held))
		return 1;
	word = own_shared_get(&held);
	bad = map_value_bad(word, words, key);
	*ret_count = word[1];
	own_shared_release(&held);
	return bad;
}

OWN__VERB_BODY MAP_INLINE uint32_t
change(void *map, uint64_t key, unsigned words, uint32_t policy)
{
	struct own_unique held = { 0 };
	uint32_t bad;

	if (own_map_claim_u64(map, key, &held))
		return 1;
	bad = map_value_step(own_unique_edit(&held), words, key);
	if (policy == OWN_EXCLUSIVE)
		own_unique_release(&held);
	else
		own_unique_commit(&held);
	return bad;
}

static void *
own_exclusive_create(unsigned words)
{
	return create(words, OWN_EXCLUSIVE);
}

MAP_INLINE uint32_t
own_exclusive_update(void *map, uint64_t key, unsigned words)
{
	return change(map, key, words, OWN_EXCLUSIVE);
}

#define own_exclusive_destroy	destroy
#define own_exclusive_filled	filled
#define own_exclusive_enter	enter
#define own_exclusive_leave	leave
#define own_exclusive_settle	settle
#define own_exclusive_insert	insert
#define own_exclusive_remove	take_out
#define own_exclusive_read	look
#define SUBJECT			own_exclusive
#include "bench/map_runs.h"

static void *
own_versioned_create(unsigned words)
{
	return create(words, OWN_VERSIONED);
}

MAP_INLINE uint32_t
own_versioned_update(void *map, uint64_t key, unsigned words)
{
	return change(map, key, words, OWN_VERSIONED);
}

#define own_versioned_destroy	destroy
#define own_versioned_filled	filled
#define own_versioned_enter	enter
#define own_versioned_leave	leave
#define own_versioned_settle	settle
#define own_versioned_insert	insert
#define own_versioned_remove	take_out
#define own_versioned_read	look
#define SUBJECT			own_versioned
#include "bench/map_runs.h"
