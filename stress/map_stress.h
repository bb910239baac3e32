/* SPDX-License-Identifier: MIT */
/*
 * map_stress.h - what the cases of map_stress share
 */
#ifndef STRESS_MAP_STRESS_H
#define STRESS_MAP_STRESS_H

#include <own/own.h>
#include "stress/driver.h"
#include "stress/forms.h"

/*
 * Handles stand in arrays and change threads here, which is beyond what clang
 * follows; the oracles look at run time.
 */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wthread-safety"
#endif

/* Each verb, then its _try, then its _timed. */
#define MAP_KINDS(X)							\
	X(SHARE, "share") X(SHARE_TRY, "share_try")			\
	X(SHARE_TIMED, "share_timed") X(CLAIM, "claim")			\
	X(CLAIM_TRY, "claim_try") X(CLAIM_TIMED, "claim_timed")		\
	X(UPSERT, "claim_or_new") X(UPSERT_TRY, "claim_or_new_try")	\
	X(UPSERT_TIMED, "claim_or_new_timed") X(PUT, "put")		\
	X(PUT_TRY, "put_try") X(PUT_TIMED, "put_timed")			\
	X(PUT_NEW, "put_new") X(PUT_NEW_TRY, "put_new_try")		\
	X(PUT_NEW_TIMED, "put_new_timed") X(REPLACE, "replace")		\
	X(REPLACE_TRY, "replace_try") X(REPLACE_TIMED, "replace_timed")	\
	X(REMOVE, "remove") X(REMOVE_TRY, "remove_try")			\
	X(REMOVE_TIMED, "remove_timed") X(TAKE, "take")			\
	X(TAKE_TRY, "take_try") X(TAKE_TIMED, "take_timed")		\
	X(SHARE_ALL, "share_all") X(SHARE_ALL_TRY, "share_all_try")	\
	X(SHARE_ALL_TIMED, "share_all_timed") X(CLAIM_ALL, "claim_all")	\
	X(CLAIM_ALL_TRY, "claim_all_try")				\
	X(CLAIM_ALL_TIMED, "claim_all_timed") X(READ, "read")		\
	X(SCAN, "scan") X(SCANNED, "whole scan") X(RELEASE, "release")	\
	X(COMMIT, "commit") X(DROP, "drop") X(UNDO, "new entry undone")	\
	X(DOWNGRADE, "downgrade") X(UPGRADED, "upgraded")		\
	X(CLEAR, "clear") X(SWAP, "swap") X(GREW, "migrations seen")	\
	X(COUPLED, "coupled") X(ABSENT, "-ENOENT") X(TAKEN, "-EEXIST")	\
	X(BUSY, "-EBUSY") X(TIMEDOUT, "-ETIMEDOUT")			\
	X(OWN_CONFLICT, "own conflict") X(DEADLOCK, "-EDEADLK")		\
	X(OWNERDEAD, "-EOWNERDEAD") X(THREAD, "thread")			\
	X(LEFT_SHARED, "left a shared handle")				\
	X(LEFT_DRAFT, "left a draft") X(LEFT_MADE, "left a new entry")	\
	X(LEFT_UNIQUE, "left a unique handle")				\
	X(LEFT_WHOLE, "left the whole map")

enum {
#define MAP_KIND(name, text)	K_##name,
	MAP_KINDS(MAP_KIND)
#undef MAP_KIND
	KINDS_N
};

#define BIT(kind)		((uint64_t)1 << K_##kind)
#define BIT3(kind)		((uint64_t)7 << K_##kind)

/* No key's value is so large; what must never be seen is. */
#define HIDDEN			(UINT64_MAX / 2)

struct item {
	uint64_t key;
	uint64_t n;
	uint64_t base;		/* n when this object began */
	uint64_t life;		/* ALIVE from made() to its fini */
	uint64_t twin;		/* of n */
};

extern const struct own_type item_type;

/* Objects made, and finalised; what their lives added to n. */
struct ledger {
	_Alignas(128) uint64_t made_n;		/* shared, as all of these */
	_Alignas(128) uint64_t ended_n;
	_Alignas(128) uint64_t gain;
};
extern struct ledger ledger;

/* A case has keys of one kind: numbers, or text. */
struct own_map *map_make(struct stress_thread *t, const char *name,
		uint32_t policy, uint64_t expected, own_map_hash_fn hash);
extern int map_text_keys;

struct key {
	char text[24];
	struct own_bytes bytes;
};
struct own_bytes key_of(uint64_t number, struct key *ret);

/* An owned item for a key: inside its future entry, or at large. */
void item_make(struct stress_thread *t, struct own_map *map, uint64_t key,
		uint64_t n, struct own_unique *ret);
/* A new, zeroed item begins its life. */
void item_begin(struct item *item, uint64_t key, uint64_t n);
/* Fails the case if this is not a whole item of the key. */
void item_look(struct stress_thread *t, const struct item *item, uint64_t key);
void item_change(struct item *item, uint64_t by, unsigned spin);

/* Everything that was made has ended; a case begins with ledger_open(). */
void ledger_open(void);
void ledger_close(void);

/*
 * A verb in a form drawn from @forms. Checks what every form promises, and
 * that no error comes but those of the form and those that @others allows by
 * a list that ends with 0.
 */
struct ask {
	struct own_map *map;
	uint64_t key;
	struct own_shared *shared;
	struct own_unique *unique;
	int *made;
	const int *others;
};
int somehow(struct stress_thread *t, unsigned verb, unsigned forms,
		struct ask ask);
#define SOMEHOW(t, verb, forms, ...)					\
	somehow(t, K_##verb, forms, (struct ask){ __VA_ARGS__ })

extern const int none_or_absent[];	/* -ENOENT */

/* What each case's functions are; see stress/README.md. */
void in_place_setup(unsigned threads_n);
void by_version_setup(unsigned threads_n);
void keys_thread(struct stress_thread *t);
void keys_finish(unsigned threads_n);
void churn_setup(unsigned threads_n);
void churn_thread(struct stress_thread *t);
void churn_finish(unsigned threads_n);
void whole_setup(unsigned threads_n);
void whole_thread(struct stress_thread *t);
void whole_finish(unsigned threads_n);
void storms_setup(unsigned threads_n);
void storms_thread(struct stress_thread *t);
void storms_finish(unsigned threads_n);
void scans_setup(unsigned threads_n);
void scans_thread(struct stress_thread *t);
void scans_finish(unsigned threads_n);
void gate_setup(unsigned threads_n);
void cycles_setup(unsigned threads_n);
void gate_thread(struct stress_thread *t);
void gate_finish(unsigned threads_n);
void map_lives_setup(unsigned threads_n);
void map_lives_thread(struct stress_thread *t);
void map_lives_finish(unsigned threads_n);

#endif
