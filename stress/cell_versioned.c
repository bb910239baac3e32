/* SPDX-License-Identifier: MIT */
/*
 * cell_versioned.c - the case of versions
 *
 * A version has a number and a lineage. A commit adds one to the number, a
 * replace or a swap starts a lineage.
 *
 * Oracles
 *   forward   A thread never sees a number smaller than before, nor a lineage
 *             that it saw end.
 *   counted   Who owns the draft finds as many commits of its lineage as its
 *             number says, so none was lost or made twice, and nobody makes
 *             another version current meanwhile.
 *   dropped   A draft that was released is never seen.
 *   alive     fini overwrites a payload. What a handle names stays as it was
 *             first seen, however long it is held, and is finalised once: in
 *             the end as many as were made.
 *   flat      What is retired and not freed stays within the batches, plus
 *             what handles keep.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include "stress/cell_stress.h"

#define WORDS		8u
#define ALIVE		0x0a11ce0a11ce0a11u
#define POISON		0xdeadbeefdeadbeefu
#define DROPPED		(UINT64_MAX / 2)
#define MAIL_N		16u
#define HELD_MAX	72u		/* more than two blocks of slots */
#define BETWEEN_MAX	(3 * OWN__SLOTS - 2)
#define DEAD_N		64u
#define ENDED		((uint64_t)1 << 63)
#define PENDING_MAX	((uint64_t)4096)	/* objects a thread */

/* Lives as long as a version of it. */
struct lineage {
	uint64_t versions_n;	/* shared */
	uint64_t commits;	/* shared; ENDED: swapped out */
};

struct version {
	uint64_t alive;
	struct lineage *line;
	uint64_t lineage;	/* its number */
	uint64_t number;
	uint64_t word[WORDS];
};

struct lease {
	struct own_shared handle;
	uint64_t lineage, number;
	int detached;			/* the library does not know whose */
};

/* What one thread remembers. */
struct reader {
	struct stress_thread *t;
	uint64_t lineage, number;	/* the last seen */
	uint64_t dead[DEAD_N];		/* lineages it saw end */
	unsigned dead_n;
	struct lease held[HELD_MAX];
	unsigned held_n;
};

static struct {
	_Alignas(128) struct lease *mail[MAIL_N];	/* shared, as all */
	_Alignas(128) uint64_t lineages;
	_Alignas(128) uint64_t made_n;
	_Alignas(128) uint64_t ended_n;
	_Alignas(128) uint32_t working;		/* threads but the first */
} shared;

static __thread int refuse_copy;
static struct own_cell subject;

static int
version_copy(void *to, const void *from, size_t size_bytes)
{
	if (refuse_copy) {
		refuse_copy = 0;
		return -ENOSPC;
	}
	memcpy(to, from, size_bytes);
	/* relaxed: @from keeps the lineage alive; a sum */
	own__add(&((struct version *)to)->line->versions_n, (uint64_t)1,
			OWN__RELAXED);
	own__add(&shared.made_n, (uint64_t)1, OWN__RELAXED);
	return 0;
}

static void
version_fini(void *payload, size_t size_bytes)
{
	struct version *v = payload;

	if (v->alive != ALIVE || size_bytes != sizeof *v)
		stress_fail(NULL, "fini of what is no version, or ended");
	/* acq_rel: whoever comes last frees after all others */
	if (own__add(&v->line->versions_n, (uint64_t)-1, OWN__ACQ_REL) == 1)
		free(v->line);
	v->alive = v->number = v->lineage = POISON;
	for (unsigned i = 0; i < WORDS; i++)
		v->word[i] = POISON;
	/* relaxed: a sum */
	own__add(&shared.ended_n, (uint64_t)1, OWN__RELAXED);
}

OWN_TYPE(version, struct version, .copy = version_copy,
	.fini = version_fini);

static uint64_t
word_of(uint64_t lineage, uint64_t number, unsigned i)
{
	return stress_mix(lineage << 40 ^ number) + i;
}

static void
fill(struct version *v)
{
	for (unsigned i = 0; i < WORDS; i++)
		v->word[i] = word_of(v->lineage, v->number, i);
}

static void
intact(struct stress_thread *t, const struct version *v)
{
	if (v->alive != ALIVE)
		stress_fail(t, "reads a version that has ended");
	if (v->number >= DROPPED)
		stress_fail(t, "sees a draft that was dropped");
	for (unsigned i = 0; i < WORDS; i++)
		if (v->word[i] != word_of(v->lineage, v->number, i))
			stress_fail(t, "torn version %llu.%llu at word %u",
					(unsigned long long)v->lineage,
					(unsigned long long)v->number, i);
}

/* A version that was current a moment ago. */
static void
forward(struct reader *me, const struct version *v)
{
	intact(me->t, v);
	if (v->lineage == me->lineage) {
		if (v->number < me->number)
			stress_fail(me->t, "back from version %llu.%llu to "
					"%llu", (unsigned long long)v->lineage,
					(unsigned long long)me->number,
					(unsigned long long)v->number);
	} else {
		for (unsigned i = 0; i < DEAD_N; i++)
			if (me->dead[i] == v->lineage)
				stress_fail(me->t, "lineage %llu was replaced "
						"and is back",
						(unsigned long long)v->lineage);
		me->dead[me->dead_n++ % DEAD_N] = me->lineage;
	}
	me->lineage = v->lineage;
	me->number = v->number;
}

static void
held_begin(struct stress_thread *t, struct lease *l)
{
	const struct version *v = version_get(&l->handle);

	intact(t, v);
	l->lineage = v->lineage;
	l->number = v->number;
	l->detached = 0;
}

static void
held_check(struct stress_thread *t, const struct lease *l)
{
	const struct version *v = version_get(&l->handle);

	intact(t, v);
	if (v->lineage != l->lineage || v->number != l->number)
		stress_fail(t, "holds version %llu.%llu and reads %llu.%llu",
				(unsigned long long)l->lineage,
				(unsigned long long)l->number,
				(unsigned long long)v->lineage,
				(unsigned long long)v->number);
}

static void
held_release(struct stress_thread *t, struct lease *l)
{
	held_check(t, l);
	stress_op(t, K_RELEASE);
	own_shared_release(&l->handle);
}

/* Moves a full lease to an empty one. */
static void
held_move(struct lease *to, struct lease *from)
{
	own_shared_move(&to->handle, &from->handle);
	to->lineage = from->lineage;
	to->number = from->number;
	to->detached = from->detached;
}

static void
let_go(struct reader *me, unsigned i)
{
	held_release(me->t, &me->held[i]);
	if (i != --me->held_n)
		held_move(&me->held[i], &me->held[me->held_n]);
}

static void
let_all_go(struct reader *me)
{
	while (me->held_n)
		let_go(me, stress_below(me->t, me->held_n));
}

/* A share, which under this policy never waits and is never refused. */
static void
take(struct reader *me, struct lease *l)
{
	must(me->t, somehow_share(me->t, &subject, ANY, &l->handle, NULL),
			"share");
	forward(me, version_get(&l->handle));
	held_begin(me->t, l);
}

static void
do_reads(struct reader *me)
{
	struct lease l = { .handle = { 0 } };
	unsigned pause = stress_one_in(me->t, 4)
		? stress_below(me->t, 2000) : 0;
	int clog = stress_one_in(me->t, 4);

	for (unsigned n = 1 + stress_below(me->t, 32); n; n--) {
		if (clog)
			stress_clog(me->t);
		take(me, &l);
		stress_spin(pause);
		held_release(me->t, &l);
	}
}

/* One more handle on what @from names, into the next free lease. */
static void
keep_clone(struct reader *me, const struct lease *from)
{
	struct lease *l = &me->held[me->held_n++];

	stress_op(me->t, K_CLONE);
	must(me->t, own_shared_clone(&from->handle, &l->handle), "clone");
	held_begin(me->t, l);
	if (l->number != from->number || l->lineage != from->lineage)
		stress_fail(me->t, "a clone of another version");
	l->detached = from->detached;
}

static void
do_hold(struct reader *me)
{
	struct stress_thread *t = me->t;
	unsigned n = stress_one_in(t, 64) ? HELD_MAX : stress_below(t, 4);

	for (; n && me->held_n < HELD_MAX; n--) {
		if (me->held_n && stress_one_in(t, 2))
			keep_clone(me, &me->held[stress_below(t, me->held_n)]);
		else
			take(me, &me->held[me->held_n++]);
		if (me->held_n > OWN__SLOTS)
			stress_count(t, K_SECOND_BLOCK);
	}
	for (n = stress_below(t, 6); n && me->held_n; n--)
		let_go(me, stress_below(t, me->held_n));
	if (stress_one_in(t, 128))
		let_all_go(me);
}

static void
receive(struct reader *me, struct lease *l)
{
	struct stress_thread *t = me->t;

	if (!l)
		return;
	stress_op(t, K_RECEIVE);
	held_check(t, l);
	if (me->held_n < HELD_MAX && stress_one_in(t, 2))
		keep_clone(me, l);
	held_release(t, l);
	free(l);
}

static void
do_mail(struct reader *me)
{
	struct stress_thread *t = me->t;
	struct lease *l = NULL;

	if (me->held_n && !stress_one_in(t, 4)) {
		l = calloc(1, sizeof *l);
		if (!l)
			stress_fail(t, "no memory");
		held_move(l, &me->held[--me->held_n]);
		stress_op(t, K_DETACH);
		must(t, own_shared_detach(&l->handle), "detach");
		l->detached = 1;
		held_check(t, l);
	}
	/* acq_rel: hands one parcel on and takes another over */
	receive(me, own__xchg(&shared.mail[stress_below(t, MAIL_N)], l,
			OWN__ACQ_REL));
}

static void
empty_mail(struct reader *me)
{
	for (unsigned i = 0; i < MAIL_N; i++)
		/* acquire: pairs with do_mail() */
		receive(me, own__xchg(&shared.mail[i], NULL, OWN__ACQUIRE));
	let_all_go(me);
}

static void
start_lineage(struct stress_thread *t, struct own_unique *ret)
{
	struct version *v;
	/* relaxed: only has to be new */
	uint64_t lineage = 1 + own__add(&shared.lineages, (uint64_t)1,
			OWN__RELAXED);

	must(t, version_new(ret), "own_new");
	own__add(&shared.made_n, (uint64_t)1, OWN__RELAXED);
	v = version_edit(ret);
	v->alive = ALIVE;
	v->line = calloc(1, sizeof *v->line);
	if (!v->line)
		stress_fail(t, "no memory");
	v->line->versions_n = 1;
	v->lineage = lineage;
	fill(v);
}

/* Takes a version and makes another one current. */
static void
take_old(struct reader *me, struct lease *l)
{
	struct own_unique u = { 0 };

	take(me, l);
	start_lineage(me->t, &u);
	(void)somehow_replace(me->t, &subject, ANY, &u, NULL);
	own_unique_release(&u);
}

/* From a full lease to an empty one, by a clone. */
static void
step(struct stress_thread *t, struct lease *from, struct lease *to)
{
	stress_op(t, K_CLONE);
	must(t, own_shared_clone(&from->handle, &to->handle), "clone");
	own_shared_release(&from->handle);
	to->number = from->number;
	to->lineage = from->lineage;
	held_check(t, to);
}

/*
 * Moves what protects an old version between a low slot and a high one, with
 * and against the direction of a scan that may be under way. Other versions
 * keep the slots between them taken, and some of those change each time: a
 * scan has to fetch their lines from here, which makes it slow.
 */
static void
do_dance(struct reader *me)
{
	struct stress_thread *t = me->t;
	struct lease between[BETWEEN_MAX] = { { .handle = { 0 } } };
	struct lease low = { .handle = { 0 } }, high = { .handle = { 0 } };
	unsigned n = stress_below(t, BETWEEN_MAX);
	int clog = stress_one_in(t, 4);

	take_old(me, &low);
	for (unsigned i = 0; i < n; i++)
		take(me, &between[i]);
	for (unsigned rounds = 1 + stress_below(t, 256); rounds; rounds--) {
		for (unsigned i = stress_below(t, 16); i < n; i += 16) {
			held_release(t, &between[i]);
			take(me, &between[i]);
		}
		if (clog)
			stress_clog(t);
		step(t, &low, &high);
		stress_spin(stress_below(t, 100));
		step(t, &high, &low);
	}
	for (unsigned i = 0; i < n; i++)
		held_release(t, &between[i]);
	held_release(t, &low);
}

/* From slot to count while a scan may be under way. */
static void
do_detach(struct reader *me)
{
	struct stress_thread *t = me->t;
	struct lease old = { .handle = { 0 } };

	for (unsigned rounds = 1 + stress_below(t, 16); rounds; rounds--) {
		take_old(me, &old);
		stress_spin(stress_below(t, 1000));
		stress_op(t, K_DETACH);
		must(t, own_shared_detach(&old.handle), "detach");
		held_check(t, &old);
		stress_spin(stress_below(t, 1000));
		held_release(t, &old);
	}
}

/* What was swapped out is the caller's alone, and its lineage has ended. */
static void
swapped_out(struct reader *me, struct own_unique *u)
{
	struct version *old = version_edit(u);
	/* relaxed: ordered by the handles */
	uint64_t commits = own__or(&old->line->commits, ENDED, OWN__RELAXED);

	forward(me, old);
	if (commits != old->number)
		stress_fail(me->t, "swapped out %llu.%llu after %llu commits",
				(unsigned long long)old->lineage,
				(unsigned long long)old->number,
				(unsigned long long)commits);
	old->number = DROPPED;
}

static void
do_swap(struct reader *me)
{
	static const int others[] = { -EINVAL, -EDEADLK, 0 };
	struct stress_thread *t = me->t;
	struct own_unique u = { 0 };

	start_lineage(t, &u);
	if (me->held_n && !me->held[0].detached) {
		stress_count(t, K_OWN_CONFLICT);
		if (somehow_swap(t, &subject, BARE, &u, others) != -EDEADLK)
			stress_fail(t, "swapped while it holds a version");
	}
	if (somehow_swap(t, &subject, TRY | TIMED, &u, others) != -EINVAL)
		stress_fail(t, "swapped versions without waiting");
	/* Thread 0 stays free to empty the mailbox, which a swap waits for. */
	if (t->index) {
		let_all_go(me);
		must(t, somehow_swap(t, &subject, BARE, &u, NULL), "swap");
		swapped_out(me, &u);
	}
	own_unique_release(&u);
}

static void
do_replace(struct reader *me)
{
	struct own_unique u = { 0 };

	start_lineage(me->t, &u);
	(void)somehow_replace(me->t, &subject, ANY, &u, NULL);
	own_unique_release(&u);
}

static void
commit(struct reader *me, struct own_unique *u)
{
	struct stress_thread *t = me->t;
	struct version *v = version_edit(u);
	struct lease l = { .handle = { 0 } };

	v->number++;
	fill(v);
	/* relaxed: published by the commit */
	own__add(&v->line->commits, (uint64_t)1, OWN__RELAXED);
	forward(me, v);
	if (stress_one_in(t, 4)) {
		stress_op(t, K_DOWNGRADE);
		own_unique_downgrade(u, &l.handle);
		held_begin(t, &l);
		if (l.number != me->number || l.lineage != me->lineage)
			stress_fail(t, "downgraded to another version");
		held_release(t, &l);
	} else {
		stress_op(t, K_COMMIT);
		own_unique_commit(u);
	}
}

/* Owns WRITER: nobody else can have committed since the copy was made. */
static void
write_and_end(struct reader *me, struct own_unique *u)
{
	struct stress_thread *t = me->t;
	struct lease base = { .handle = { 0 } };
	struct version *v = version_edit(u);
	/* relaxed: ordered by the handles */
	uint64_t commits = own__load(&v->line->commits, OWN__RELAXED);

	forward(me, v);
	if (commits != v->number)
		stress_fail(t, "the draft says %llu.%llu, after %llu commits",
				(unsigned long long)v->lineage,
				(unsigned long long)v->number,
				(unsigned long long)commits);
	stress_spin(stress_below(t, 1000));
	if (stress_one_in(t, 32))
		sched_yield();
	if (stress_one_in(t, 2)) {
		take(me, &base);
		if (base.lineage != v->lineage || base.number != v->number)
			stress_fail(t, "version %llu.%llu came beside a draft "
					"of %llu.%llu",
					(unsigned long long)base.lineage,
					(unsigned long long)base.number,
					(unsigned long long)v->lineage,
					(unsigned long long)v->number);
		held_release(t, &base);
	}
	if (stress_one_in(t, 8)) {
		v->number = DROPPED;
		stress_op(t, K_DROP);
		own_unique_release(u);
		return;
	}
	commit(me, u);
}

static void
do_claim(struct reader *me)
{
	static const int refused[] = { -ENOSPC, 0 };
	struct own_unique u = { 0 };
	int refuse = stress_one_in(me->t, 64), r;

	/* A reader's own handle on the current version is no conflict here. */
	refuse_copy = refuse;
	r = somehow_claim(me->t, &subject, ANY, &u, refused);
	refuse_copy = 0;
	if (r == -ENOSPC) {
		if (!refuse)
			stress_fail(me->t, "a copy failed by itself");
		stress_count(me->t, K_COPY_REFUSED);
	}
	if (!r)
		write_and_end(me, &u);
}

static void
do_upgrade(struct reader *me)
{
	struct stress_thread *t = me->t;
	struct own_unique u = { 0 };
	struct lease l = { .handle = { 0 } };
	int r;

	if (stress_one_in(t, 8))
		take_old(me, &l);
	else
		take(me, &l);
	stress_spin(stress_below(t, 500));
	stress_op(t, K_UPGRADE);
	r = own_shared_upgrade_try(&l.handle, &u);
	if (r == 0) {
		stress_count(t, K_UPGRADED);
		if (version_edit(&u)->number != l.number ||
				version_edit(&u)->lineage != l.lineage)
			stress_fail(t, "upgraded to another version");
		write_and_end(me, &u);
		return;
	}
	if (r != -EBUSY && r != -EAGAIN)
		stress_fail(t, "upgrade_try: %d", r);
	stress_count(t, r == -EBUSY ? K_BUSY : K_STALE);
	held_release(t, &l);
}

static int
peek_at(const void *value, size_t size_bytes, void *arg)
{
	struct reader *me = arg;

	if (size_bytes != sizeof(struct version))
		stress_fail(me->t, "a value of %zu bytes", size_bytes);
	forward(me, value);
	return 7;
}

static void
do_peek(struct reader *me)
{
	static const int seven[] = { 7, 0 };
	struct version copy;

	if (stress_one_in(me->t, 2)) {
		if (somehow_peek(me->t, &subject, ANY, peek_at, me, seven) != 7)
			stress_fail(me->t, "a peek was refused");
		return;
	}
	stress_op(me->t, K_READ);
	must(me->t, version_read(&subject, &copy), "read");
	forward(me, &copy);
}

static void
do_reclaim(struct reader *me)
{
	struct own_reclaim_stats stats;
	uint64_t pending_max = PENDING_MAX * me->t->threads_n +
		(HELD_MAX + MAIL_N + BETWEEN_MAX) * me->t->threads_n;

	stress_op(me->t, K_RECLAIM);
	/* In a row, so that others work under scan after scan. */
	for (unsigned n = stress_below(me->t, 16); n; n--)
		if (own_reclaim(stress_below(me->t, 20000)) < 0)
			stress_fail(me->t, "own_reclaim");
	if (own_barrier() < 0)
		stress_fail(me->t, "own_barrier");
	own_reclaim_stats(&stats);
	if (stats.pending_objects > pending_max)
		stress_fail(me->t, "%llu retired objects are not freed",
				(unsigned long long)stats.pending_objects);
}

void
versioned_thread(struct stress_thread *t)
{
	struct reader me = { .t = t };

	while (stress_running(t))
		switch (stress_below(t, 16)) {
		case 0:
			if (stress_one_in(t, 16))
				do_swap(&me);
			else
				do_replace(&me);
			break;
		case 1:
			do_upgrade(&me);
			break;
		case 2:
			do_peek(&me);
			break;
		case 3:
			do_reclaim(&me);
			break;
		case 4:
		case 5:
			do_mail(&me);
			break;
		case 6:
			if (stress_one_in(t, 4))
				do_dance(&me);
			else
				do_detach(&me);
			break;
		case 7:
		case 8:
			do_hold(&me);
			break;
		case 9:
		case 10:
		case 11:
			do_claim(&me);
			break;
		default:
			do_reads(&me);
		}
	let_all_go(&me);
	/* acq_rel: what the others left in the mailbox can be seen */
	if (t->index)
		own__add(&shared.working, (uint32_t)-1, OWN__ACQ_REL);
	else
		while (own__load(&shared.working, OWN__ACQUIRE)) {
			empty_mail(&me);
			stress_nap(10000);
		}
}

void
versioned_setup(unsigned threads_n)
{
	struct stress_thread t = { .threads_n = threads_n };
	struct own_unique u = { 0 };

	memset(&shared, 0, sizeof shared);
	shared.working = threads_n - 1;
	start_lineage(&t, &u);
	must(&t, own_cell_init(&subject, &version_type, OWN_VERSIONED,
			"stress", &u), "own_cell_init");
}

void
versioned_finish(unsigned threads_n)
{
	struct stress_thread t = { .threads_n = threads_n };
	struct reader me = { .t = &t };
	int64_t held;

	empty_mail(&me);
	own_cell_destroy(&subject);
	held = own_barrier();
	if (held)
		stress_fail(NULL, "%lld versions are still held",
				(long long)held);
	if (shared.ended_n != shared.made_n)
		stress_fail(NULL, "%llu versions made, %llu ended",
				(unsigned long long)shared.made_n,
				(unsigned long long)shared.ended_n);
}
