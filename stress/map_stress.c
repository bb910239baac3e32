/* SPDX-License-Identifier: MIT */
/*
 * map_stress.c - own/map.h under load: the list of cases, and the verbs in
 * all their forms
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "stress/map_stress.h"

#define ALIVE		UINT64_C(0x600d11fe600d11fe)

struct ledger ledger;
int map_text_keys;
const int none_or_absent[] = { -ENOENT, 0 };

/* ---- items ---- */

static int
item_copy(void *to, const void *from, size_t size_bytes)
{
	struct item *item = to;

	memcpy(to, from, size_bytes);
	item->base = item->n;
	/* relaxed: a sum */
	own__add(&ledger.made_n, (uint64_t)1, OWN__RELAXED);
	return 0;
}

static void
item_fini(void *payload, size_t size_bytes)
{
	struct item *item = payload;

	/* who has no life yet was made by a verb and given up unseen */
	if (item->life != ALIVE)
		stress_fail(NULL, "fini of an object that %s",
				item->life ? "has ended" : "never began");
	/* relaxed: sums */
	own__add(&ledger.ended_n, (uint64_t)1, OWN__RELAXED);
	own__add(&ledger.gain, item->n - item->base, OWN__RELAXED);
	memset(payload, 0xdd, size_bytes);
}

const struct own_type item_type = {
	.name = "item", .size = sizeof(struct item), .align = 16,
	.copy = item_copy, .fini = item_fini,
};

void
item_begin(struct item *item, uint64_t key, uint64_t n)
{
	*item = (struct item){
		.key = key, .n = n, .base = n, .twin = n, .life = ALIVE,
	};
	/* relaxed: a sum */
	own__add(&ledger.made_n, (uint64_t)1, OWN__RELAXED);
}

void
item_make(struct stress_thread *t, struct own_map *map, uint64_t key,
		uint64_t n, struct own_unique *ret)
{
	struct key k;

	if (stress_one_in(t, 2))
		must(t, own_map_new(map, key_of(key, &k), ret), "map_new");
	else
		must(t, own_new(&item_type, ret), "own_new");
	item_begin(own_unique_edit(ret), key, n);
}

void
item_look(struct stress_thread *t, const struct item *item, uint64_t key)
{
	if (item->life != ALIVE)
		stress_fail(t, "an ended value of key %" PRIu64, key);
	if (item->key != key)
		stress_fail(t, "key %" PRIu64 " has the value of %" PRIu64,
				key, item->key);
	if (item->n != item->twin)
		stress_fail(t, "a value of key %" PRIu64 " in change", key);
	if (item->n >= HIDDEN)
		stress_fail(t, "sees what nobody may see, of key %" PRIu64,
				key);
}

void
item_change(struct item *item, uint64_t by, unsigned spin)
{
	item->n += by;
	stress_spin(spin);
	item->twin += by;
}

void
ledger_open(void)
{
	memset(&ledger, 0, sizeof ledger);
}

void
ledger_close(void)
{
	if (own_barrier() != 0)
		stress_fail(NULL, "values are still held");
	if (ledger.made_n != ledger.ended_n)
		stress_fail(NULL, "%" PRIu64 " values made, %" PRIu64 " ended",
				ledger.made_n, ledger.ended_n);
}

/* ---- maps and keys ---- */

struct own_map *
map_make(struct stress_thread *t, const char *name, uint32_t policy,
		uint64_t expected, own_map_hash_fn hash)
{
	struct own_map_options options = {
		.size = sizeof options, .type = &item_type, .name = name,
		.policy = policy, .entries_expected = expected, .hash = hash,
		.flags = map_text_keys ? 0 : OWN_MAP_U64,
	};
	struct own_map *map;

	must(t, own_map_create(&options, &map), "own_map_create");
	return map;
}

struct own_bytes
key_of(uint64_t number, struct key *ret)
{
	int n;

	if (!map_text_keys)
		return own__u64(number);
	n = snprintf(ret->text, sizeof ret->text, "%" PRIu64, number);
	return own_bytes(ret->text, (size_t)n);
}

/* ---- the verbs ---- */

/* Answers that are counted. */
static const struct {
	int answer;
	unsigned kind;
} counted[] = {
	{ -EBUSY, K_BUSY }, { -ETIMEDOUT, K_TIMEDOUT }, { -ENOENT, K_ABSENT },
	{ -EEXIST, K_TAKEN }, { -EDEADLK, K_DEADLOCK },
};

#define IN_FORM(verb, k, ret)						\
	(form == TRY ? own_map_##verb##_try(ask.map, k, ret) :		\
	 form == TIMED ? own_map_##verb##_timed(ask.map, k, deadline_ns, \
		ret) : own_map_##verb(ask.map, k, ret))
#define IN_FORM_ALL(verb, ret)						\
	(form == TRY ? own_map_##verb##_try(ask.map, ret) :		\
	 form == TIMED ? own_map_##verb##_timed(ask.map, deadline_ns, ret) \
		: own_map_##verb(ask.map, ret))

static int
upsert(unsigned form, uint64_t deadline_ns, struct own_bytes k, struct ask ask)
{
	if (form == TRY)
		return own_map_claim_or_new_try(ask.map, k, ask.unique,
				ask.made);
	if (form == TIMED)
		return own_map_claim_or_new_timed(ask.map, k, deadline_ns,
				ask.unique, ask.made);
	return own_map_claim_or_new(ask.map, k, ask.unique, ask.made);
}

static int
remove_it(unsigned form, uint64_t deadline_ns, struct own_bytes k,
		struct ask ask)
{
	if (form == TRY)
		return own_map_remove_try(ask.map, k);
	if (form == TIMED)
		return own_map_remove_timed(ask.map, k, deadline_ns);
	return own_map_remove(ask.map, k);
}

int
somehow(struct stress_thread *t, unsigned verb, unsigned forms,
		struct ask ask)
{
	uint64_t deadline_ns = 0;
	unsigned form;
	struct key key;
	struct own_bytes k = key_of(ask.key, &key);
	int r = -EINVAL;

	form = form_draw(t, forms);
	stress_op(t, verb + (form == TRY ? 1 : form == TIMED ? 2 : 0));
	if (form == TIMED)
		deadline_ns = form_deadline(t);
	switch (verb) {
	case K_SHARE:
		r = IN_FORM(share, k, ask.shared);
		break;
	case K_CLAIM:
		r = IN_FORM(claim, k, ask.unique);
		break;
	case K_UPSERT:
		r = upsert(form, deadline_ns, k, ask);
		break;
	case K_PUT:
		r = IN_FORM(put, k, ask.unique);
		break;
	case K_PUT_NEW:
		r = IN_FORM(put_new, k, ask.unique);
		break;
	case K_REPLACE:
		r = IN_FORM(replace, k, ask.unique);
		break;
	case K_REMOVE:
		r = remove_it(form, deadline_ns, k, ask);
		break;
	case K_TAKE:
		r = IN_FORM(take, k, ask.unique);
		break;
	case K_SHARE_ALL:
		r = IN_FORM_ALL(share_all, ask.shared);
		break;
	case K_CLAIM_ALL:
		r = IN_FORM_ALL(claim_all, ask.unique);
		break;
	}
	r = form_judge(t, form, deadline_ns, r, ask.others);
	for (size_t i = 0; i < sizeof counted / sizeof counted[0]; i++)
		if (r == counted[i].answer)
			stress_count(t, counted[i].kind);
	return r;
}

/* ---- the cases ---- */

static const char *const kinds[] = {
#define MAP_KIND(name, text)	text,
	MAP_KINDS(MAP_KIND)
#undef MAP_KIND
};

#define KEYS_REQUIRED							\
	(BIT3(SHARE) | BIT3(CLAIM) | BIT3(PUT_NEW) | BIT3(REMOVE) |	\
	 BIT(READ) | BIT(COMMIT) | BIT(DOWNGRADE) | BIT(UPGRADED) | BIT(BUSY))

static const struct stress_case cases[] = {
	{
		.name = "in_place",
		.what = "no update of a key gets lost, nobody sees half of it",
		.kinds = kinds, .kinds_n = KINDS_N,
		.required = KEYS_REQUIRED | BIT(OWN_CONFLICT),
		.threads_times = 2,
		.setup = in_place_setup,
		.thread = keys_thread,
		.finish = keys_finish,
	}, {
		.name = "by_version",
		.what = "versions grow, and stay as they are while held",
		.kinds = kinds, .kinds_n = KINDS_N,
		.required = KEYS_REQUIRED | BIT(DROP),
		.threads_times = 2,
		.setup = by_version_setup,
		.thread = keys_thread,
		.finish = keys_finish,
	}, {
		.name = "churn",
		.what = "one key, one entry; each object ends once",
		.kinds = kinds, .kinds_n = KINDS_N,
		.required = BIT3(UPSERT) | BIT3(PUT) | BIT3(PUT_NEW) |
			BIT3(REPLACE) | BIT3(REMOVE) | BIT3(TAKE) |
			BIT(UNDO) | BIT(DROP) | BIT(COMMIT) | BIT(ABSENT) |
			BIT(TAKEN),
		.threads_times = 2,
		.setup = churn_setup,
		.thread = churn_thread,
		.finish = churn_finish,
	}, {
		.name = "whole",
		.what = "transfers do not change what is seen of the whole",
		.kinds = kinds, .kinds_n = KINDS_N,
		.required = BIT3(SHARE_ALL) | BIT3(CLAIM_ALL) | BIT(CLEAR) |
			BIT(SWAP) | BIT(COUPLED) | BIT(SCANNED),
		.threads_times = 2,
		.setup = whole_setup,
		.thread = whole_thread,
		.finish = whole_finish,
	}, {
		.name = "storms",
		.what = "what stays is found while tables come and go",
		.kinds = kinds, .kinds_n = KINDS_N,
		.required = BIT(PUT_NEW) | BIT(REMOVE) | BIT(TAKEN) |
			BIT(ABSENT) | BIT(GREW),
		.threads_times = 2,
		.setup = storms_setup,
		.thread = storms_thread,
		.finish = storms_finish,
	}, {
		.name = "scans",
		.what = "what stays is visited once, the rest at most once",
		.kinds = kinds, .kinds_n = KINDS_N,
		.required = BIT(SCAN) | BIT(SCANNED) | BIT(GREW) |
			BIT(COMMIT),
		.threads_times = 2,
		.setup = scans_setup,
		.thread = scans_thread,
		.finish = scans_finish,
	}, {
		.name = "gate",
		.what = "entries coupled and the whole asked for; nobody hangs",
		.kinds = kinds, .kinds_n = KINDS_N,
		.required = BIT3(SHARE) | BIT3(CLAIM) | BIT3(SHARE_ALL) |
			BIT3(CLAIM_ALL) | BIT(COUPLED) | BIT(BUSY) |
			BIT(DOWNGRADE) | BIT(UPGRADED),
		.threads_times = 4,
		.setup = gate_setup,
		.thread = gate_thread,
		.finish = gate_finish,
	}, {
		.name = "cycles",
		.what = "the same in no order: one of a cycle is told",
		.kinds = kinds, .kinds_n = KINDS_N,
		.required = BIT(COUPLED) | BIT(DEADLOCK),
		.threads_times = 4,
		.setup = cycles_setup,
		.thread = gate_thread,
		.finish = gate_finish,
	}, {
		.name = "lives",
		.what = "threads that end with handles of a map in hand",
		.kinds = kinds, .kinds_n = KINDS_N,
		.required = BIT(THREAD) | BIT(LEFT_SHARED) | BIT(LEFT_DRAFT) |
			BIT(LEFT_MADE) | BIT(LEFT_UNIQUE) | BIT(LEFT_WHOLE) |
			BIT(OWNERDEAD),
		.setup = map_lives_setup,
		.thread = map_lives_thread,
		.finish = map_lives_finish,
	},
};

int
main(int argc, char **argv)
{
	return stress_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
