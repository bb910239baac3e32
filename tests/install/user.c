/* SPDX-License-Identifier: MIT */
/*
 * user.c - an outside program, right in every respect
 *
 * Built against the installed headers and library alone. Two writers and two
 * readers share a cell under each policy; nothing is lost, and a reader never
 * sees the two halves of a value differ. Silent under ThreadSanitizer.
 */
#include <own/own.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS		2000u

struct pair {
	uint64_t a;
	uint64_t b;
};

OWN_TYPE(pair, struct pair);

static void
must(int r, const char *what)
{
	if (r) {
		fprintf(stderr, "%s: %d\n", what, r);
		exit(1);
	}
}

static void *
write_pairs(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct own_unique u = { 0 };
		int r = own_cell_claim((struct own_cell *)arg, &u);

		if (r) {
			must(r, "own_cell_claim");
			return NULL;
		}
		pair_edit(&u)->a++;
		pair_edit(&u)->b++;
		own_unique_commit(&u);
	}
	return NULL;
}

static void *
read_pairs(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct own_shared s = { 0 };
		int r = own_cell_share((struct own_cell *)arg, &s);

		if (r) {
			must(r, "own_cell_share");
			return NULL;
		}
		if (pair_get(&s)->a != pair_get(&s)->b) {
			fprintf(stderr, "a value torn in two\n");
			exit(1);
		}
		own_shared_release(&s);
	}
	return NULL;
}

static void
run(uint32_t policy)
{
	void *(*const work[])(void *) = {
		write_pairs, write_pairs, read_pairs, read_pairs,
	};
	pthread_t threads[4];
	struct own_cell cell;
	struct own_unique first = { 0 };
	struct pair last;
	int r;

	r = pair_new(&first);
	if (r) {
		must(r, "pair_new");
		return;
	}
	r = own_cell_init(&cell, &pair_type, policy, "pairs", &first);
	own_unique_release(&first);	/* empty, unless that failed */
	must(r, "own_cell_init");
	for (unsigned i = 0; i < 4; i++)
		must(pthread_create(&threads[i], NULL, work[i], &cell),
				"pthread_create");
	for (unsigned i = 0; i < 4; i++)
		must(pthread_join(threads[i], NULL), "pthread_join");
	must(pair_read(&cell, &last), "pair_read");
	own_cell_destroy(&cell);
	if (last.a != 2 * ROUNDS || last.b != 2 * ROUNDS) {
		fprintf(stderr, "policy %u: updates are lost\n", policy);
		exit(1);
	}
}

int
main(void)
{
	run(OWN_EXCLUSIVE);
	run(OWN_VERSIONED);
	own_barrier();
	return 0;
}
