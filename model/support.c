/* SPDX-License-Identifier: MIT */
#include "lib/map-internal.h"
#include "model/support.h"

struct own_cell *cell, *cells[3];
int readers[3], writers[3];
int finis;
static int made;

static void
pair_fini(void *payload, size_t size_bytes)
{
	(void)payload;
	(void)size_bytes;
	finis++;
}

static int
pair_copy(void *to, const void *from, size_t size_bytes)
{
	own_m_read(from, size_bytes);
	own_m_write(to, size_bytes);
	*(struct pair *)to = *(const struct pair *)from;
	made++;
	return 0;
}

const struct own_type pair_type = {
	.name = "pair", .size = sizeof(struct pair),
	.copy = pair_copy, .fini = pair_fini,
};

int
pair_new(struct own_unique *ret)
{
	made++;
	return own_new(&pair_type, ret);
}

void
support_made(int n)
{
	made += n;
}

uint64_t
own_m_hash(const void *data, size_t size_bytes, uint64_t seed)
{
	uint64_t key = *(const uint64_t *)data;

	(void)size_bytes;
	(void)seed;
	return key << 56 | key;
}

void
support_begin(uint32_t policy, unsigned n)
{
	static const char *const names[] = { "A", "B", "C" };

	own_i_model_init();
	own_i_slice_ns = 0;
	finis = made = 0;
	for (unsigned i = 0; i < 3; i++) {
		struct own_unique u = { NULL, 0 };

		readers[i] = writers[i] = 0;
		cells[i] = NULL;
		if (i >= n)
			continue;
		cells[i] = own_m_alloc(sizeof(*cells[i]), 64);
		own_m_name(cells[i], sizeof(*cells[i]), names[i]);
		must(pair_new(&u));
		must(own_cell_init(cells[i], &pair_type, policy, names[i],
				&u));
	}
	cell = cells[0];
}

void
support_end(void)
{
	for (unsigned i = 0; i < 3; i++) {
		own_m_assert(readers[i] == 0 && writers[i] == 0,
				"somebody is still inside");
		if (!cells[i])
			continue;
		own_cell_destroy(cells[i]);
		own_m_free(cells[i]);
	}
	own_m_assert(own_barrier() == 0, "objects are held by nobody");
	own_m_assert(finis == made, "each payload is finalised once");
}

struct own_map *
support_map(uint32_t policy)
{
	struct own_map_options options = {
		.size = sizeof(options), .type = &pair_type, .name = "map",
		.policy = policy, .flags = OWN_MAP_U64,
		.entries_expected = 4, .hash = own_m_hash,
	};
	struct own_unique u = { NULL, 0 };
	struct own_map *map;

	must(own_map_create(&options, &map));
	own_m_name(map, sizeof(*map), "map");
	must(own_map_new_u64(map, 1, &u));
	support_made(1);
	must(own_map_put_u64(map, 1, &u));
	return map;
}

void
take_away_bias(struct own_cell *of)
{
	of->word = 0;
}

/* A stay of a reader: the ghosts, and two looks with a switch between. */
void
read_inside(const struct own_shared *s, unsigned which)
{
	const struct pair *p = own_shared_get(s);
	long seen;

	readers[which]++;
	own_m_assert(writers[which] == 0, "a reader beside a writer");
	own_m_read(p, sizeof(*p));
	seen = p->a;
	own_m_assert(p->a == p->b, "a torn value");
	own_m_yield();
	own_m_assert(writers[which] == 0, "a writer beside a reader");
	own_m_read(p, sizeof(*p));
	own_m_assert(p->a == seen && p->b == seen, "a borrowed value changed");
	readers[which]--;
}

void
write_inside(struct own_unique *u, unsigned which)
{
	struct pair *p = own_unique_edit(u);

	writers[which]++;
	own_m_assert(writers[which] == 1 && readers[which] == 0,
			"a writer beside somebody");
	own_m_write(p, sizeof(*p));
	p->a++;
	own_m_yield();
	own_m_assert(writers[which] == 1 && readers[which] == 0,
			"somebody beside a writer");
	own_m_write(p, sizeof(*p));
	p->b++;
	writers[which]--;
}

long
value_of(const struct own_shared *s)
{
	const struct pair *p = own_shared_get(s);

	own_m_read(p, sizeof(*p));
	own_m_assert(p->a == p->b, "a torn value");
	return p->a;
}
