/* SPDX-License-Identifier: MIT */
/*
 * test_states.c - every field of the tables in doc/design/states.md
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <own/own.h>
#include "tests/support.h"

/* What a case is about; whatever is left in it is given back at the end. */
static struct own_cell box, other;
static struct own_map *map;
static uint32_t ended;
static struct own_shared s, s2;
static struct own_unique u;
static uint32_t made;

#define KIND_OF(handle)	((handle).how & OWN__HOW_KIND)
#define ASSERT_KIND(handle, kind)					\
	assert_int_equal(KIND_OF(handle), OWN__HOW_##kind)

static void
thing(struct own_unique *ret)
{
	item_make(ret, 7, &ended);
	made++;
}

/* ---- shared states ---- */

static void
box_open(uint32_t policy)
{
	struct own_unique first = { 0 };

	thing(&first);
	assert_int_equal(own_cell_init(&box, &item_type, policy, "box",
			&first), 0);
}

static void
map_make(uint32_t policy)
{
	struct own_map_options options = {
		.size = sizeof(options), .type = &item_type, .name = "map",
		.policy = policy, .flags = OWN_MAP_U64,
	};

	assert_int_equal(own_map_create(&options, &map), 0);
}

static void
map_open(uint32_t policy)
{
	struct own_unique first = { 0 };

	map_make(policy);
	thing(&first);
	assert_int_equal(own_map_put_u64(map, 1, &first), 0);
}

static void
cell_slot(void)
{
	box_open(OWN_EXCLUSIVE);
	assert_int_equal(own_cell_share(&box, &s), 0);
	ASSERT_KIND(s, HOLD);
}

static void
cell_counted(void)
{
	box_open(OWN_EXCLUSIVE);
	/* a claim takes the bias away */
	assert_int_equal(own_cell_claim(&box, &u), 0);
	own_unique_release(&u);
	assert_int_equal(own_cell_share(&box, &s), 0);
	ASSERT_KIND(s, COUNTED);
}

static void
cell_detached(void)
{
	cell_slot();
	assert_int_equal(own_shared_detach(&s), 0);
}

static void
cell_beside_mine(void)
{
	cell_slot();
	assert_int_equal(own_cell_share(&box, &s2), 0);
}

static void
cell_beside_detached(void)
{
	cell_beside_mine();
	assert_int_equal(own_shared_detach(&s2), 0);
}

static void
version_slot(void)
{
	box_open(OWN_VERSIONED);
	assert_int_equal(own_cell_share(&box, &s), 0);
	ASSERT_KIND(s, HOLD);
}

static void
version_detached(void)
{
	version_slot();
	assert_int_equal(own_shared_detach(&s), 0);
}

static void
old_version_slot(void)
{
	version_slot();
	thing(&u);
	assert_int_equal(own_cell_replace(&box, &u), 0);
}

/* The clone of a version that is DEAD is counted. */
static void
counted_clone(void)
{
	own_shared_move(&s2, &s);
	assert_int_equal(own_shared_clone(&s2, &s), 0);
	own_shared_release(&s2);
	ASSERT_KIND(s, COUNTED);
}

static void
old_version_counted(void)
{
	old_version_slot();
	counted_clone();
}

static void
entry_counted(void)
{
	map_open(OWN_EXCLUSIVE);
	assert_int_equal(own_map_share_u64(map, 1, &s), 0);
	ASSERT_KIND(s, COUNTED);
}

static void
entry_slot(void)
{
	entry_counted();
	for (unsigned i = 0; KIND_OF(s) != OWN__HOW_HOLD; i++) {
		assert_true(i < 100000);
		own_shared_release(&s);
		assert_int_equal(own_map_share_u64(map, 1, &s), 0);
	}
}

static void
entry_detached(void)
{
	entry_counted();
	assert_int_equal(own_shared_detach(&s), 0);
}

static void
entry_version_slot(void)
{
	map_open(OWN_VERSIONED);
	assert_int_equal(own_map_share_u64(map, 1, &s), 0);
	ASSERT_KIND(s, HOLD);
}

static void
entry_version_detached(void)
{
	entry_version_slot();
	assert_int_equal(own_shared_detach(&s), 0);
}

static void
old_entry_slot(void)
{
	entry_version_slot();
	thing(&u);
	assert_int_equal(own_map_put_u64(map, 1, &u), 0);
}

static void
old_entry_counted(void)
{
	old_entry_slot();
	counted_clone();
}

static void
whole_slot(void)
{
	map_open(OWN_EXCLUSIVE);
	assert_int_equal(own_map_share_all(map, &s), 0);
}

static void
whole_detached(void)
{
	whole_slot();
	assert_int_equal(own_shared_detach(&s), 0);
}

static void
whole_beside_mine(void)
{
	whole_slot();
	assert_int_equal(own_map_share_u64(map, 1, &s2), 0);
}

static void
whole_beside_detached(void)
{
	whole_beside_mine();
	assert_int_equal(own_shared_detach(&s2), 0);
}

static void
published_last(void)
{
	thing(&u);
	own_unique_publish(&u, &s);
}

static void
published_two(void)
{
	published_last();
	assert_int_equal(own_shared_clone(&s, &s2), 0);
}

/* ---- unique states ---- */

static void
owned_new(void)
{
	thing(&u);
}

static void
owned_taken(void)
{
	map_open(OWN_EXCLUSIVE);
	assert_int_equal(own_map_take_u64(map, 1, &u), 0);
}

static void
detached(void)
{
	assert_int_equal(own_unique_detach(&u), 0);
	ASSERT_KIND(u, DETACHED_UNIQUE);
}

static void
cell_unique(void)
{
	box_open(OWN_EXCLUSIVE);
	assert_int_equal(own_cell_claim(&box, &u), 0);
}

static void
cell_unique_detached(void)
{
	cell_unique();
	detached();
}

static void
cell_draft(void)
{
	box_open(OWN_VERSIONED);
	assert_int_equal(own_cell_claim(&box, &u), 0);
	/* a copy of the item ends as well */
	made++;
}

static void
cell_draft_detached(void)
{
	cell_draft();
	detached();
}

static void
entry_unique(void)
{
	map_open(OWN_EXCLUSIVE);
	assert_int_equal(own_map_claim_u64(map, 1, &u), 0);
}

static void
entry_unique_detached(void)
{
	entry_unique();
	detached();
}

static void
entry_draft(void)
{
	map_open(OWN_VERSIONED);
	assert_int_equal(own_map_claim_u64(map, 1, &u), 0);
	made++;
}

static void
entry_draft_detached(void)
{
	entry_draft();
	detached();
}

static void
making(uint32_t policy)
{
	int is_made;

	map_make(policy);
	assert_int_equal(own_map_claim_or_new_u64(map, 1, &u, &is_made), 0);
	assert_true(is_made);
	*item_edit(&u) = (struct item) { 7, 7, &ended };
	made++;
}

static void
making_exclusive(void)
{
	making(OWN_EXCLUSIVE);
}

static void
making_exclusive_detached(void)
{
	making(OWN_EXCLUSIVE);
	detached();
}

static void
making_versioned(void)
{
	making(OWN_VERSIONED);
}

static void
making_versioned_detached(void)
{
	making(OWN_VERSIONED);
	detached();
}

static void
whole_unique(void)
{
	map_open(OWN_EXCLUSIVE);
	assert_int_equal(own_map_claim_all(map, &u), 0);
}

static void
whole_unique_detached(void)
{
	whole_unique();
	detached();
}

static const struct state {
	const char *name;
	void (*make)(void);
} shared_states[] = {
	{ "cell, exclusive, by slot", cell_slot },
	{ "cell, exclusive, counted", cell_counted },
	{ "cell, exclusive, detached", cell_detached },
	{ "cell, exclusive, beside my own", cell_beside_mine },
	{ "cell, exclusive, beside a detached one", cell_beside_detached },
	{ "cell, versioned, by slot", version_slot },
	{ "cell, versioned, detached", version_detached },
	{ "cell, old version, by slot", old_version_slot },
	{ "cell, old version, counted", old_version_counted },
	{ "entry, exclusive, by slot", entry_slot },
	{ "entry, exclusive, counted", entry_counted },
	{ "entry, exclusive, detached", entry_detached },
	{ "entry, versioned, by slot", entry_version_slot },
	{ "entry, versioned, detached", entry_version_detached },
	{ "entry, old version, by slot", old_entry_slot },
	{ "entry, old version, counted", old_entry_counted },
	{ "whole map, by slot", whole_slot },
	{ "whole map, beside an entry of mine", whole_beside_mine },
	{ "whole map, beside a detached entry", whole_beside_detached },
	{ "whole map, detached", whole_detached },
	{ "published, the last", published_last },
	{ "published, one of two", published_two },
	{ NULL, NULL },
}, unique_states[] = {
	{ "owned, new", owned_new },
	{ "owned, taken out of a map", owned_taken },
	{ "cell, exclusive, by slot", cell_unique },
	{ "cell, exclusive, detached", cell_unique_detached },
	{ "cell, draft, by slot", cell_draft },
	{ "cell, draft, detached", cell_draft_detached },
	{ "entry, exclusive, by slot", entry_unique },
	{ "entry, exclusive, detached", entry_unique_detached },
	{ "entry, draft, by slot", entry_draft },
	{ "entry, draft, detached", entry_draft_detached },
	{ "entry in the making, exclusive, by slot", making_exclusive },
	{ "entry in the making, exclusive, detached",
	  making_exclusive_detached },
	{ "entry in the making, versioned, by slot", making_versioned },
	{ "entry in the making, versioned, detached",
	  making_versioned_detached },
	{ "whole map, by slot", whole_unique },
	{ "whole map, detached", whole_unique_detached },
	{ NULL, NULL },
};

/* ---- parts ---- */

static int parts;	/* the states' handles name parts */

/* The part that they name: not the first, which has the whole's address. */
static void
project(void)
{
	if (s.object && !own_i_is_map(s.how))
		own_shared_project(&s, &((const struct item *)
				own_shared_whole(&s))->twin);
	if (u.object && !own_i_is_map(u.how))
		own_unique_project(&u, &((struct item *)
				own_unique_whole(&u))->twin);
}

/* What comes from a handle that named a part names that. */
static void
assert_names(const void *object, const void *whole, uint64_t how)
{
	assert_non_null(whole);
	if (parts && !own_i_is_map(how))
		assert_ptr_equal(object, &((const struct item *)whole)->twin);
	else
		assert_ptr_equal(object, whole);
}

static void
assert_shared_names(const struct own_shared *h)
{
	assert_names(own_shared_get(h), own_shared_whole(h), h->how);
}

static void
assert_unique_names(const struct own_unique *h)
{
	assert_names(own_unique_edit(h), own_unique_whole(h), h->how);
}

/* ---- verbs ---- */

static int
shared_release(void)
{
	own_shared_release(&s);
	return 0;
}

static int
shared_move(void)
{
	struct own_shared to = { 0 };

	own_shared_move(&to, &s);
	assert_null(s.object);
	assert_shared_names(&to);
	own_shared_release(&to);
	return 0;
}

static int
shared_clone(void)
{
	struct own_shared to = { 0 };
	int r = own_shared_clone(&s, &to);

	if (!r)
		assert_ptr_equal(to.object, s.object);
	if (!r)
		assert_shared_names(&to);
	own_shared_release(&to);
	return r;
}

static void *
end_elsewhere(void *arg)
{
	(void)arg;
	own_shared_release(&s);
	own_unique_release(&u);
	return NULL;
}

static void
elsewhere(void *(*fn)(void *arg), void *arg)
{
	pthread_t id;

	assert_int_equal(pthread_create(&id, NULL, fn, arg), 0);
	assert_int_equal(pthread_join(id, NULL), 0);
}

static int
shared_detach(void)
{
	int r = own_shared_detach(&s);

	assert_shared_names(&s);
	if (!r)
		elsewhere(end_elsewhere, NULL);
	return r;
}

static int
upgrade(void)
{
	int r = own_shared_upgrade_try(&s, &u);

	assert_true(r ? s.object && !u.object : !s.object && u.object);
	if (r)
		assert_shared_names(&s);
	else
		assert_unique_names(&u);
	/* a draft is a copy, which ends */
	if (KIND_OF(u) == OWN__HOW_DRAFT)
		made++;
	return r;
}

static int
reclaim(void)
{
	int r = own_shared_reclaim_try(&s, &u);

	assert_true(r ? s.object && !u.object : !s.object && u.object);
	if (r)
		assert_shared_names(&s);
	else
		assert_unique_names(&u);
	return r;
}

static int
make_mine(void)
{
	const void *was = own_shared_whole(&s);
	int r = own_shared_make_mine(&s, &u);

	assert_true(r ? s.object && !u.object : !s.object && u.object);
	if (!r) {
		assert_ptr_equal(u.object, own_unique_whole(&u));
		assert_int_equal(item_edit(&u)->n, 7);
		made += u.object != was;
	}
	return r;
}

/* A part, another one, the whole again; the size and the key stay its. */
static int
shared_project(void)
{
	const struct item *whole = own_shared_whole(&s);

	own_shared_project(&s, &whole->twin);
	assert_ptr_equal(own_shared_get(&s), &whole->twin);
	assert_ptr_equal(own_shared_whole(&s), whole);
	assert_int_equal(own_size(&s), sizeof(struct item));
	own_shared_project(&s, &whole->ended);
	assert_ptr_equal(own_shared_get(&s), &whole->ended);
	if (map)
		assert_int_equal(own_map_key_u64(&s), 1);
	own_shared_project(&s, whole);
	assert_ptr_equal(item_get(&s), whole);
	own_shared_project(&s, &whole->twin);
	return 0;
}

static int
unique_project(void)
{
	struct item *whole = own_unique_whole(&u);

	own_unique_project(&u, &whole->twin);
	assert_ptr_equal(own_unique_edit(&u), &whole->twin);
	assert_ptr_equal(own_unique_whole(&u), whole);
	assert_int_equal(own_size(&u), sizeof(struct item));
	own_unique_project(&u, &whole->ended);
	assert_ptr_equal(own_unique_edit(&u), &whole->ended);
	if (map)
		assert_int_equal(own_map_key_u64(&u), 1);
	own_unique_project(&u, whole);
	assert_ptr_equal(item_edit(&u), whole);
	own_unique_project(&u, &whole->twin);
	return 0;
}

static int
unique_release(void)
{
	own_unique_release(&u);
	return 0;
}

static int
commit(void)
{
	own_unique_commit(&u);
	return 0;
}

static int
unique_move(void)
{
	struct own_unique to = { 0 };

	own_unique_move(&to, &u);
	assert_null(u.object);
	assert_unique_names(&to);
	own_unique_release(&to);
	return 0;
}

static int
unique_detach(void)
{
	int r = own_unique_detach(&u);

	assert_unique_names(&u);
	if (!r)
		elsewhere(end_elsewhere, NULL);
	return r;
}

static int
downgrade(void)
{
	own_unique_downgrade(&u, &s);
	assert_true(s.object && !u.object);
	assert_shared_names(&s);
	return 0;
}

static int
publish(void)
{
	own_unique_publish(&u, &s);
	assert_true(s.object && !u.object);
	assert_shared_names(&s);
	return 0;
}

static int
give(void)
{
	int r = own_cell_replace(&other, &u);

	assert_true(r ? u.object != NULL : u.object == NULL);
	return r;
}

static int
ask_share(void)
{
	struct own_shared h = { 0 };
	int r = map ? own_map_share_try_u64(map, 1, &h)
		: own_cell_share_try(&box, &h);

	own_shared_release(&h);
	return r;
}

static int
ask_claim(void)
{
	struct own_unique h = { 0 };
	int r = map ? own_map_claim_try_u64(map, 1, &h)
		: own_cell_claim_try(&box, &h);

	made += KIND_OF(h) == OWN__HOW_DRAFT;
	own_unique_release(&h);
	return r;
}

struct asked {
	int (*verb)(void);
	int r;
};

static void *
ask(void *arg)
{
	struct asked *asked = arg;

	asked->r = asked->verb();
	return NULL;
}

static int
they_share(void)
{
	struct asked asked = { ask_share, 0 };

	elsewhere(ask, &asked);
	return asked.r;
}

static int
they_claim(void)
{
	struct asked asked = { ask_claim, 0 };

	elsewhere(ask, &asked);
	return asked.r;
}

static const struct verb {
	const char *name;
	int (*call)(void);
} shared_verbs[] = {
	{ "release", shared_release }, { "move", shared_move },
	{ "clone", shared_clone }, { "detach", shared_detach },
	{ "project", shared_project },
	{ "upgrade", upgrade }, { "reclaim", reclaim },
	{ "make mine", make_mine }, { "I share", ask_share },
	{ "I claim", ask_claim }, { "they share", they_share },
	{ "they claim", they_claim }, { NULL, NULL },
}, unique_verbs[] = {
	{ "release", unique_release }, { "commit", commit },
	{ "move", unique_move }, { "detach", unique_detach },
	{ "project", unique_project },
	{ "downgrade", downgrade }, { "publish", publish },
	{ "give", give }, { "I share", ask_share },
	{ "I claim", ask_claim }, { "they share", they_share },
	{ "they claim", they_claim }, { NULL, NULL },
};

/* ---- one field ---- */

static void
world_begin(void)
{
	memset(&box, 0, sizeof(box));
	map = NULL;
	ended = made = 0;
	assert_int_equal(own_cell_init(&other, &item_type, OWN_EXCLUSIVE,
			"other", NULL), 0);
}

/* All of it goes back; then it is free, and everything has ended once. */
static void
world_end(void)
{
	own_shared_release(&s);
	own_shared_release(&s2);
	own_unique_release(&u);
	if (map) {
		assert_int_equal(own_map_claim_all_try(map, &u), 0);
		own_unique_release(&u);
		own_map_destroy(map);
	}
	if (box.type) {
		assert_int_equal(own_cell_claim_try(&box, &u), 0);
		made += KIND_OF(u) == OWN__HOW_DRAFT;
		own_unique_release(&u);
		own_cell_destroy(&box);
	}
	own_cell_destroy(&other);
	assert_int_equal(own_barrier(), 0);
	assert_int_equal(ended, made);
	assert_false(own_i_slot_any(own_i_this));
}

static const char *
outcome(int r)
{
	static const struct {
		int r;
		const char *text;
	} known[] = {
		{ 0, "ok" }, { -EBUSY, "-EBUSY" }, { -EDEADLK, "-EDEADLK" },
		{ -EINVAL, "-EINVAL" }, { -EAGAIN, "-EAGAIN" },
		{ -ENOENT, "-ENOENT" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].r == r)
			return known[i].text;
	return "another error";
}

static void
begin_state(const struct state *state)
{
	state->make();
	if (parts)
		project();
}

static const char *
outcome_of_child(const struct state *state, const struct verb *verb)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)freopen("/dev/null", "w", stderr);
		world_begin();
		begin_state(state);
		(void)verb->call();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? "stops"
		: "does not stop";
}

static void
field(const struct state *state, const struct verb *verb, const char *expected)
{
	const char *seen;

	if (strcmp(expected, "stops") == 0) {
		seen = outcome_of_child(state, verb);
	} else {
		world_begin();
		begin_state(state);
		seen = outcome(verb->call());
		if (strcmp(seen, expected) == 0)
			world_end();
	}
	if (strcmp(seen, expected) != 0)
		fail_msg("%s%s, %s: %s, but the table says %s", state->name,
				parts ? ", a part" : "", verb->name, seen,
				expected);
}

/* ---- the tables ---- */

/* Splits "| a | b |" in place; returns how many. */
static unsigned
split(char *line, char **ret, unsigned max)
{
	unsigned n = 0;
	char *end;

	for (char *p = strtok(line, "|\n"); p && n < max;
			p = strtok(NULL, "|\n")) {
		while (*p == ' ')
			p++;
		for (end = p + strlen(p); end > p && end[-1] == ' '; )
			*--end = '\0';
		if (*p)
			ret[n++] = p;
	}
	return n;
}

/* Walks the table below a heading; returns its fields, *ret_asked of them
 * with something to ask. */
static unsigned
walk_table(const char *heading, const struct state *states,
		const struct verb *verbs, unsigned *ret_asked)
{
	FILE *f = fopen(STATES_MD, "r");
	char line[1024], *part[16];
	unsigned n, fields = 0, rows = 0, head = 0;
	const struct state *state = states;
	int inside = 0;

	if (!f)
		fail_msg("cannot read %s", STATES_MD);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "## ", 3) == 0)
			inside = strstr(line, heading) != NULL;
		if (!inside || line[0] != '|' || line[2] == '-')
			continue;
		n = split(line, part, 16);
		if (!head) {
			for (head = 1; head < n && verbs[head - 1].name; head++)
				assert_string_equal(part[head],
						verbs[head - 1].name);
			assert_int_equal(head, n);
			assert_null(verbs[head - 1].name);
			continue;
		}
		assert_int_equal(n, head);
		assert_non_null(state->name);
		assert_string_equal(part[0], state->name);
		for (unsigned i = 1; i < n; i++, fields++) {
			if (strcmp(part[i], "-") == 0)
				continue;
			field(state, &verbs[i - 1], part[i]);
			++*ret_asked;
		}
		state++;
		rows++;
	}
	fclose(f);
	assert_null(state->name);
	return fields;
}

static void
every_field_of_the_tables(void **state)
{
	unsigned asked = 0, fields = 0;

	parts = *state != NULL;
	fields += walk_table("Shared", shared_states, shared_verbs, &asked);
	fields += walk_table("Unique", unique_states, unique_verbs, &asked);
	print_message("%u of %u fields reached%s; of the others nothing is to "
			"be asked\n", asked, fields, parts ?
			" by handles that name a part" : "");
}

NO_CHILDREN;

static const struct CMUnitTest tests[] = {
	TEST(every_field_of_the_tables),
	{ "every field by handles that name a part",
	  every_field_of_the_tables, NULL, NULL, &parts },
};

TESTS_MAIN("states");
