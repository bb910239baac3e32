/* SPDX-License-Identifier: MIT */
/*
 * map_lfht.c - liburcu's cds_lfht, memb flavour, that grows by itself
 *
 * It starts at 4096 buckets: from fewer, liburcu 0.13 to 0.15 often loses a
 * resize on a busy machine and stays small for good. Maps that are kept get
 * their size by a call as well. Updates exclude one another by
 * cds_lfht_replace, which fails if the node has gone, and are tried again.
 */
#include "bench/peers/map_rcu.h"

#include <urcu/rculfhash.h>

#define BUCKETS_FIRST	4096u

struct node {
	struct cds_lfht_node link;
	struct rcu_head head;
	uint64_t key;
	uint32_t word[];
};

static struct cds_lfht *kept;

MAP_INLINE struct node *
node_of(struct cds_lfht_node *link)
{
	return (struct node *)((char *)link - offsetof(struct node, link));
}

static int
match(struct cds_lfht_node *link, const void *key)
{
	return node_of(link)->key == *(const uint64_t *)key;
}

static void
node_free(struct rcu_head *head)
{
	free((char *)head - offsetof(struct node, head));
}

static struct node *
node_make(uint64_t key, unsigned words)
{
	struct node *n = malloc(sizeof(*n) + words * sizeof(n->word[0]));

	if (n) {
		cds_lfht_node_init(&n->link);
		n->key = key;
		map_value_set(n->word, words, key, 0);
	}
	return n;
}

static void *
lfht_create(unsigned words)
{
	(void)words;
	return cds_lfht_new_flavor(BUCKETS_FIRST, 1, 0,
			CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING,
			&urcu_memb_flavor, NULL);
}

/* The resizing thread lives as long as any table, on its creator's cores. */
int
lfht_start(void)
{
	kept = lfht_create(0);
	return kept && urcu_memb_get_default_call_rcu_data() ? 0 : -1;
}

static void
lfht_filled(void *map, uint64_t entries)
{
	uint64_t buckets = BUCKETS_FIRST;

	while (buckets < entries)
		buckets *= 2;
	cds_lfht_resize(map, buckets);
}

static void
lfht_settle(void)
{
	urcu_memb_barrier();
}

/* A table must be empty, and the caller in no section, to be destroyed. */
static void
lfht_destroy(void *map)
{
	struct cds_lfht_iter it;
	struct cds_lfht_node *link;

	section_enter();
	urcu_memb_read_lock();
	cds_lfht_for_each(map, &it, link)
		if (!cds_lfht_del(map, link))
			urcu_memb_call_rcu(&node_of(link)->head,
					node_free);
	urcu_memb_read_unlock();
	if (cds_lfht_destroy(map, NULL))
		abort();
	section_leave();
}

MAP_INLINE int
lfht_insert(void *map, uint64_t key, unsigned words)
{
	struct node *n = node_make(key, words);
	struct cds_lfht_node *there;

	if (!n)
		return -1;
	urcu_memb_read_lock();
	there = cds_lfht_add_unique(map, map_hash(key), match, &key, &n->link);
	urcu_memb_read_unlock();
	if (there == &n->link)
		return 0;
	free(n);
	return -1;
}

MAP_INLINE int
lfht_remove(void *map, uint64_t key)
{
	struct cds_lfht_iter it;
	struct cds_lfht_node *link;
	int r = -1;

	urcu_memb_read_lock();
	cds_lfht_lookup(map, map_hash(key), match, &key, &it);
	link = cds_lfht_iter_get_node(&it);
	if (link && !cds_lfht_del(map, link)) {
		urcu_memb_call_rcu(&node_of(link)->head, node_free);
		r = 0;
	}
	urcu_memb_read_unlock();
	return r;
}

MAP_INLINE uint32_t
lfht_read(void *map, uint64_t key, unsigned words, uint32_t *ret_count)
{
	struct cds_lfht_iter it;
	struct cds_lfht_node *link;
	uint32_t bad = 1;

	urcu_memb_read_lock();
	cds_lfht_lookup(map, map_hash(key), match, &key, &it);
	link = cds_lfht_iter_get_node(&it);
	if (link) {
		bad = map_value_bad(node_of(link)->word, words, key);
		*ret_count = node_of(link)->word[1];
	}
	urcu_memb_read_unlock();
	return bad;
}

MAP_INLINE uint32_t
lfht_update(void *map, uint64_t key, unsigned words)
{
	struct node *draft = node_make(key, words), *old;
	struct cds_lfht_iter it;
	uint64_t hash = map_hash(key);
	uint32_t bad = 1;

	if (!draft)
		return bad;
	urcu_memb_read_lock();
	for (;;) {
		cds_lfht_lookup(map, hash, match, &key, &it);
		if (!cds_lfht_iter_get_node(&it)) {
			free(draft);
			break;
		}
		old = node_of(cds_lfht_iter_get_node(&it));
		memcpy(draft->word, old->word, words * sizeof(old->word[0]));
		bad = map_value_step(draft->word, words, key);
		if (!cds_lfht_replace(map, &it, hash, match, &key,
				&draft->link)) {
			urcu_memb_call_rcu(&old->head, node_free);
			break;
		}
	}
	urcu_memb_read_unlock();
	return bad;
}

#define lfht_enter	section_enter
#define lfht_leave	section_leave
#define SUBJECT		lfht
#include "bench/map_runs.h"
