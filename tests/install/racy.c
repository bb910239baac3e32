/* SPDX-License-Identifier: MIT */
/*
 * racy.c - two wrong programs that ThreadSanitizer must report
 *
 *   racy without   a thread writes a payload without any handle, while
 *                  another writes it by right
 *   racy late      a thread goes on writing after it released its handle
 *
 * Nothing orders the two writes, whichever comes first, so the report does
 * not hang on timing. The flags are relaxed: they lend no order either.
 */
#include <own/own.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct number {
	uint64_t n;
};

OWN_TYPE(number, struct number);

static struct own_cell cell =
	OWN_CELL_INIT(&number_type, OWN_EXCLUSIVE, "number");
static struct number *leaked;
static int ready, released;

static void
must(int r)
{
	if (r) {
		fprintf(stderr, "racy: error %d\n", r);
		exit(1);
	}
}

static void *
write_by_right(void *arg)
{
	struct own_unique u = { 0 };
	int r;

	(void)arg;
	/* with locks, which must not stand between the two writes */
	must(own_thread_register());
	own__store(&ready, 1, OWN__RELAXED);
	while (!own__load(&released, OWN__RELAXED))
		;
	r = own_cell_claim(&cell, &u);
	if (r) {
		must(r);
		return NULL;
	}
	number_edit(&u)->n++;
	own_unique_release(&u);
	return NULL;
}

static void *
write_without(void *arg)
{
	(void)arg;
	leaked->n++;
	return NULL;
}

static void *
write_late(void *arg)
{
	struct own_unique u = { 0 };
	struct number *stale;
	int r;

	(void)arg;
	while (!own__load(&ready, OWN__RELAXED))
		;
	r = own_cell_claim(&cell, &u);
	if (r) {
		must(r);
		return NULL;
	}
	stale = number_edit(&u);
	own_unique_release(&u);
	own__store(&released, 1, OWN__RELAXED);
	stale->n++;
	return NULL;
}

int
main(int argc, char **argv)
{
	pthread_t threads[2];
	struct own_unique first = { 0 };
	int late = argc == 2 && strcmp(argv[1], "late") == 0;
	int r = number_new(&first);

	if (r) {
		must(r);
		return 1;
	}
	leaked = number_edit(&first);
	r = own_cell_replace(&cell, &first);
	if (r) {
		own_unique_release(&first);
		must(r);
		return 1;
	}
	if (!late)
		own__store(&released, 1, OWN__RELAXED);
	must(pthread_create(&threads[0], NULL, write_by_right, NULL));
	must(pthread_create(&threads[1], NULL,
			late ? write_late : write_without, NULL));
	must(pthread_join(threads[0], NULL));
	must(pthread_join(threads[1], NULL));
	own_cell_destroy(&cell);
	return 0;
}
