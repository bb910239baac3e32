/* SPDX-License-Identifier: MIT */
/*
 * cell_exclusive.c - the case of one writer or many readers
 *
 * Oracles
 *   torn      All words of the payload are equal, at the start and at the end
 *             of every hold, and the same at both. Plain accesses, so that
 *             ThreadSanitizer judges them too.
 *   alone     Two shadow counts, kept by relaxed operations that order nothing
 *             themselves: who reads sees no writer, who writes sees nobody.
 *             Readers keep theirs only half of the time, since it is a full
 *             barrier on x86 and would hide a missing one.
 *   updates   Each change adds one to a counter in the payload, and fini sums
 *             the counters up: in the end there are as many as changes.
 *
 * Thread 0 never waits: it releases the detached handles that the others leave
 * in the mailbox, for which they could wait for ever otherwise, and ends last.
 */
#include <stdlib.h>
#include "stress/cell_stress.h"

#define WORDS		24u
#define POISON		0xdeadbeefdeadbeefu
#define MAIL_N		4u
#define NESTED_MAX	6u

struct block {
	uint64_t word[WORDS];
	uint64_t updates;
};

/* A shared handle and what was seen through it first. */
struct lease {
	struct own_shared handle;
	uint64_t stamp;
	int shadowed;
};

static struct {
	_Alignas(128) uint32_t readers;		/* shared, as all of these */
	_Alignas(128) uint32_t writers;
	_Alignas(128) uint32_t weather;
	_Alignas(128) struct lease *mail[MAIL_N];
	_Alignas(128) uint64_t updates;		/* by the threads' own count */
	uint64_t ended_updates;			/* by fini */
	uint64_t made_n, ended_n;
	_Alignas(128) uint32_t working;		/* threads but the first */
} shared;

static struct own_cell subject;

static void
block_fini(void *payload, size_t size_bytes)
{
	struct block *b = payload;

	(void)size_bytes;
	/* relaxed: sums, read after the joins */
	own__add(&shared.ended_updates, b->updates, OWN__RELAXED);
	own__add(&shared.ended_n, (uint64_t)1, OWN__RELAXED);
	for (unsigned i = 0; i < WORDS; i++)
		b->word[i] = POISON;
}

OWN_TYPE(block, struct block, .fini = block_fini);

static uint64_t
look(struct stress_thread *t, const struct block *b)
{
	uint64_t stamp = b->word[WORDS - 1];

	if (stamp == POISON)
		stress_fail(t, "reads a value that has ended");
	for (unsigned i = 0; i < WORDS; i++)
		if (b->word[i] != stamp)
			stress_fail(t, "torn value: word %u is %llx, the last"
					" one %llx", i,
					(unsigned long long)b->word[i],
					(unsigned long long)stamp);
	return stamp;
}

static void
reader_comes(struct stress_thread *t)
{
	/* relaxed, here and below: the handles must order them */
	own__add(&shared.readers, (uint32_t)1, OWN__RELAXED);
	if (own__load(&shared.writers, OWN__RELAXED))
		stress_fail(t, "reads beside a writer");
}

static void
reader_goes(struct stress_thread *t)
{
	if (own__load(&shared.writers, OWN__RELAXED))
		stress_fail(t, "a writer came while this thread reads");
	own__add(&shared.readers, (uint32_t)-1, OWN__RELAXED);
}

static void
writer_comes(struct stress_thread *t)
{
	if (own__add(&shared.writers, (uint32_t)1, OWN__RELAXED))
		stress_fail(t, "writes beside another writer");
	if (own__load(&shared.readers, OWN__RELAXED))
		stress_fail(t, "writes beside a reader");
}

static void
writer_goes(struct stress_thread *t)
{
	if (own__load(&shared.readers, OWN__RELAXED))
		stress_fail(t, "a reader came while this thread writes");
	own__add(&shared.writers, (uint32_t)-1, OWN__RELAXED);
}

/* Begins a lease whose handle has just been filled. */
static void
lease_begin(struct stress_thread *t, struct lease *l)
{
	l->shadowed = stress_one_in(t, 2);
	if (l->shadowed)
		reader_comes(t);
	l->stamp = look(t, block_get(&l->handle));
}

/* Last checks; the handle is still to be released. */
static void
lease_end(struct stress_thread *t, struct lease *l)
{
	if (look(t, block_get(&l->handle)) != l->stamp)
		stress_fail(t, "value changed under a shared handle");
	if (l->shadowed)
		reader_goes(t);
}

static void
lease_release(struct stress_thread *t, struct lease *l)
{
	lease_end(t, l);
	stress_op(t, K_RELEASE);
	own_shared_release(&l->handle);
}

static uint64_t
new_stamp(struct stress_thread *t)
{
	return (uint64_t)(t->index + 1) << 48 | (t->ops & 0xffffffffffff);
}

static void
change(struct stress_thread *t, struct block *b)
{
	uint64_t stamp = new_stamp(t);
	unsigned pause_at = stress_below(t, 4 * WORDS);

	writer_comes(t);
	(void)look(t, b);
	for (unsigned i = 0; i < WORDS; i++) {
		b->word[i] = stamp;
		if (i == pause_at)
			stress_spin(200);
	}
	b->updates++;
	/* relaxed: a sum */
	own__add(&shared.updates, (uint64_t)1, OWN__RELAXED);
	(void)look(t, b);
	writer_goes(t);
}

static void
write_and_end(struct stress_thread *t, struct own_unique *u)
{
	struct own_shared refused = { 0 };
	struct lease l = { .handle = { 0 } };
	uint64_t stamp;

	change(t, block_edit(u));
	stamp = block_edit(u)->word[0];
	if (stress_one_in(t, 64)) {
		stress_op(t, K_OWN_CONFLICT);
		if (own_cell_share(&subject, &refused) != -EDEADLK)
			stress_fail(t, "shared what it writes itself");
	}
	switch (stress_below(t, 4)) {
	case 0:
		stress_op(t, K_DOWNGRADE);
		own_unique_downgrade(u, &l.handle);
		lease_begin(t, &l);
		if (l.stamp != stamp)
			stress_fail(t, "a writer came into a downgrade");
		lease_release(t, &l);
		return;
	case 1:
		stress_op(t, K_RELEASE);
		own_unique_release(u);
		return;
	default:
		stress_op(t, K_COMMIT);
		own_unique_commit(u);
	}
}

static void
do_claim(struct stress_thread *t, unsigned forms)
{
	struct own_unique u = { 0 };

	/* relaxed: a look at a private field, for aim and statistics only */
	if (own__load(&subject.word, OWN__RELAXED) & OWN__BIASED)
		stress_count(t, K_BIASED);
	if (!somehow_claim(t, &subject, forms, &u, NULL))
		write_and_end(t, &u);
}

static int
new_block(struct stress_thread *t, struct own_unique *ret)
{
	uint64_t stamp = new_stamp(t);
	int r = block_new(ret);

	if (r)
		return r;
	own__add(&shared.made_n, (uint64_t)1, OWN__RELAXED);
	for (unsigned i = 0; i < WORDS; i++)
		block_edit(ret)->word[i] = stamp;
	return 0;
}

static void
do_replace(struct stress_thread *t, unsigned forms)
{
	struct own_unique u = { 0 };

	must(t, new_block(t, &u), "own_new");
	if (stress_one_in(t, 2)) {
		if (!somehow_replace(t, &subject, forms, &u, NULL))
			return;
	} else if (!somehow_swap(t, &subject, forms, &u, NULL)) {
		/* Owned now: nobody may see what is written to it. */
		struct block *b = block_edit(&u);

		(void)look(t, b);
		for (unsigned i = 0; i < WORDS; i++)
			b->word[i] = i;
	}
	own_unique_release(&u);
}

/* Reads as fast as it goes: the window of a missing fence is short. */
static void
do_reads(struct stress_thread *t, unsigned forms)
{
	struct lease l = { .handle = { 0 } };
	unsigned pause = stress_one_in(t, 4) ? stress_below(t, 400) : 0;
	int clog = stress_one_in(t, 2);

	for (unsigned n = 1 + stress_below(t, 32); n; n--) {
		if (clog)
			stress_clog(t);
		if (somehow_share(t, &subject, forms, &l.handle, NULL))
			return;
		lease_begin(t, &l);
		stress_spin(pause);
		lease_release(t, &l);
	}
}

static void
nest(struct stress_thread *t, struct lease *l, unsigned n, unsigned forms)
{
	unsigned from;

	if (n && stress_one_in(t, 2)) {
		from = stress_below(t, n);
		stress_op(t, K_CLONE);
		must(t, own_shared_clone(&l[from].handle, &l[n].handle),
				"clone");
	} else if (somehow_share(t, &subject, n ? ANY : forms, &l[n].handle,
			NULL)) {
		/* With a handle of its own it never has to wait. */
		if (n)
			stress_fail(t, "a nested share was refused");
		return;
	}
	lease_begin(t, &l[n]);
	if (n && l[n].stamp != l[0].stamp)
		stress_fail(t, "two values under nested handles");
}

/* Several handles of one thread, released in random order. */
static void
do_nested(struct stress_thread *t, unsigned forms)
{
	struct lease l[NESTED_MAX] = { { .handle = { 0 } } };
	struct own_unique u = { 0 };
	unsigned n = 0, i, steps = 4 + stress_below(t, 20);

	for (;;) {
		if (steps && n < NESTED_MAX && (!n || stress_one_in(t, 2))) {
			steps--;
			nest(t, l, n, forms);
			n += l[n].handle.object != NULL;
			continue;
		}
		if (!n)
			return;
		if (stress_one_in(t, 64)) {
			stress_op(t, K_OWN_CONFLICT);
			if (own_cell_claim(&subject, &u) != -EDEADLK)
				stress_fail(t, "claimed what it reads itself");
		}
		i = stress_below(t, n);
		lease_release(t, &l[i]);
		if (i != --n) {
			own_shared_move(&l[i].handle, &l[n].handle);
			l[i].stamp = l[n].stamp;
			l[i].shadowed = l[n].shadowed;
		}
	}
}

static void
do_upgrade(struct stress_thread *t, unsigned forms)
{
	struct lease l = { .handle = { 0 } };
	struct own_unique u = { 0 };
	int r;

	if (somehow_share(t, &subject, forms, &l.handle, NULL))
		return;
	lease_begin(t, &l);
	if (l.shadowed)
		reader_goes(t);
	stress_op(t, K_UPGRADE);
	r = own_shared_upgrade_try(&l.handle, &u);
	if (r == 0) {
		stress_count(t, K_UPGRADED);
		if (look(t, block_edit(&u)) != l.stamp)
			stress_fail(t, "a writer came into an upgrade");
		write_and_end(t, &u);
		return;
	}
	if (r != -EBUSY)
		stress_fail(t, "upgrade_try: %d", r);
	stress_count(t, K_BUSY);
	if (l.shadowed)
		reader_comes(t);
	lease_release(t, &l);
}

static void
do_mail(struct stress_thread *t)
{
	struct lease *l = calloc(1, sizeof *l), *none = NULL;
	unsigned slot = stress_below(t, MAIL_N);

	if (!l)
		stress_fail(t, "no memory");
	if (somehow_share(t, &subject, ANY, &l->handle, NULL)) {
		free(l);
		return;
	}
	lease_begin(t, l);
	stress_op(t, K_DETACH);
	must(t, own_shared_detach(&l->handle), "detach");
	/* release: the courier's exchange acquires */
	if (own__cas(&shared.mail[slot], &none, l, OWN__RELEASE))
		return;
	lease_release(t, l);
	free(l);
}

static void
receive(struct stress_thread *t)
{
	struct own_shared more = { 0 };
	struct lease *l;

	for (unsigned i = 0; i < MAIL_N; i++) {
		/* relaxed: the exchange decides */
		if (!own__load(&shared.mail[i], OWN__RELAXED))
			continue;
		/* acquire: pairs with do_mail() */
		l = own__xchg(&shared.mail[i], NULL, OWN__ACQUIRE);
		if (!l)
			continue;
		stress_op(t, K_RECEIVE);
		if (stress_one_in(t, 2)) {
			must(t, own_shared_clone(&l->handle, &more), "clone");
			lease_release(t, l);
			(void)look(t, block_get(&more));
			own_shared_release(&more);
		} else {
			lease_release(t, l);
		}
		free(l);
	}
}

static int
peek_at(const void *value, size_t size_bytes, void *arg)
{
	struct stress_thread *t = arg;

	if (size_bytes != sizeof(struct block))
		stress_fail(t, "a value of %zu bytes", size_bytes);
	reader_comes(t);
	(void)look(t, value);
	reader_goes(t);
	return 0;
}

static void
do_peek(struct stress_thread *t, unsigned forms)
{
	struct block copy;
	int r;

	if (stress_one_in(t, 2)) {
		(void)somehow_peek(t, &subject, forms, peek_at, t, NULL);
		return;
	}
	stress_op(t, K_READ);
	if (forms & BARE)
		r = block_read(&subject, &copy);
	else
		r = own_cell_read_try(&subject, &copy, sizeof copy);
	if (r == 0)
		(void)look(t, &copy);
	else if (r != -EBUSY || forms & BARE)
		stress_fail(t, "read: %d", r);
}

/* Of 1024 operations so many write; calm weather lets bias come back. */
static const unsigned writes_of[] = { 0, 1, 16, 128, 512 };
#define WEATHERS	(sizeof writes_of / sizeof *writes_of)

void
exclusive_thread(struct stress_thread *t)
{
	unsigned forms = t->index ? ANY : TRY;
	unsigned writes;
	uint64_t seen;

	/* acquire: pairs with the end of the others */
	while (stress_running(t) || (t->index == 0 &&
			own__load(&shared.working, OWN__ACQUIRE))) {
		if (t->index == 0)
			receive(t);
		if (t->index == 1 && stress_one_in(t, 512))
			/* relaxed: a hint about what to do */
			own__store(&shared.weather, stress_below(t, WEATHERS),
					OWN__RELAXED);
		seen = own__load(&subject.word, OWN__RELAXED);
		writes = writes_of[own__load(&shared.weather, OWN__RELAXED)];
		if (stress_below(t, 1024) < writes ||
				((seen & OWN__BIASED) && stress_one_in(t, 8))) {
			if (stress_one_in(t, 8))
				do_replace(t, forms);
			else
				do_claim(t, forms);
			continue;
		}
		switch (stress_below(t, 16)) {
		case 0:
			if (writes)
				do_upgrade(t, forms);
			break;
		case 1:
			if (t->index)
				do_mail(t);
			break;
		case 2:
		case 3:
			do_peek(t, forms);
			break;
		case 4:
		case 5:
		case 6:
			do_nested(t, forms);
			break;
		default:
			do_reads(t, forms);
		}
	}
	if (t->index)
		/* release: pairs with the loop of thread 0 */
		own__add(&shared.working, (uint32_t)-1, OWN__RELEASE);
}

void
exclusive_setup(unsigned threads_n)
{
	struct own_unique u = { 0 };
	struct stress_thread t = { .threads_n = threads_n };

	shared.readers = shared.writers = shared.weather = 0;
	shared.updates = shared.ended_updates = 0;
	shared.made_n = shared.ended_n = 0;
	shared.working = threads_n - 1;
	must(&t, new_block(&t, &u), "own_new");
	must(&t, own_cell_init(&subject, &block_type, OWN_EXCLUSIVE, "stress",
			&u), "own_cell_init");
}

void
exclusive_finish(unsigned threads_n)
{
	struct stress_thread t = { .threads_n = threads_n };
	int64_t held;

	receive(&t);
	own_cell_destroy(&subject);
	held = own_barrier();
	if (held)
		stress_fail(NULL, "%lld values are still held",
				(long long)held);
	if (shared.ended_n != shared.made_n)
		stress_fail(NULL, "%llu values made, %llu ended",
				(unsigned long long)shared.made_n,
				(unsigned long long)shared.ended_n);
	if (shared.ended_updates != shared.updates)
		stress_fail(NULL, "%llu changes made, %llu kept",
				(unsigned long long)shared.updates,
				(unsigned long long)shared.ended_updates);
}
