/* SPDX-License-Identifier: MIT */
/* test_report.c - conflicts explained, dumps, stalls */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include "tests/support.h"

static struct own_cell cell;
static const struct own_site mine = { "mine.c", 11 };
static const struct own_site theirs = { "theirs.c", 22 };

static int32_t
tid_of(const struct actor *a)
{
	return own__load(&a->record->tid, OWN__RELAXED);
}

static void
party_is(const struct own_party *p, int32_t tid, const char *mode,
		const struct own_site *site)
{
	assert_int_equal(p->tid, tid);
	assert_string_equal(p->mode, mode);
	assert_string_equal(p->object, "item");
	assert_string_equal(p->container, "the cell");
	assert_ptr_equal(p->address, &cell.word);
	assert_ptr_equal(p->site, site);
}

/* The text starts so, and names each place and each thread. */
static void
text_has(const struct own_conflict *c, const char *error)
{
	char text[4096], part[64];
	size_t n = own_conflict_text(c, text, sizeof(text));

	assert_int_equal(n, strlen(text));
	assert_int_equal(strncmp(text, error, strlen(error)), 0);
	for (uint32_t i = 0; i < c->parties_n; i++) {
		const struct own_party *p = &c->parties[i];

		snprintf(part, sizeof(part), "thread %d (%s)", p->tid,
				p->thread);
		assert_non_null(strstr(text, part));
		assert_non_null(strstr(text, p->mode));
		assert_non_null(strstr(text, "item 0x"));
		assert_non_null(strstr(text, "in the cell"));
		snprintf(part, sizeof(part), " at %s:%u", p->site->file,
				p->site->line);
		assert_non_null(strstr(text, part));
	}
}

/* ---- conflicts ---- */

static void
busy_names_both_sides(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	const struct own_conflict *c;
	struct actor a;

	item_cell(&cell, POLICY(state), 1, NULL);
	actor_start(&a, &cell);
	a.site = &theirs;
	assert_int_equal(actor_do(&a, act_claim), 0);
	assert_int_equal(own_cell_claim_try_at(&cell, &u, &mine), -EBUSY);
	c = own_conflict_last();
	assert_non_null(c);
	assert_int_equal(c->error, -EBUSY);
	assert_int_equal(c->parties_n, 2);
	assert_int_equal(c->more_n, 0);
	party_is(&c->parties[0], own_i_this->tid, "unique", &mine);
	party_is(&c->parties[1], tid_of(&a), POLICY(state) == OWN_VERSIONED
			? "unique (draft)" : "unique", &theirs);
	assert_null(c->parties[1].waits_at);
	text_has(c, "-EBUSY: thread ");
	/* it stands until something else is refused */
	assert_ptr_equal(own_conflict_last(), c);
	if (POLICY(state) == OWN_EXCLUSIVE) {
		assert_int_equal(own_cell_share_try_at(&cell, &s, &mine),
				-EBUSY);
		c = own_conflict_last();
		assert_int_equal(c->parties_n, 2);
		party_is(&c->parties[0], own_i_this->tid, "shared", &mine);
		party_is(&c->parties[1], tid_of(&a), "unique", &theirs);
	}
	actor_stop(&a);
	own_cell_destroy(&cell);
	assert_int_equal(own_barrier(), 0);
}

static void
busy_names_readers(void **state)
{
	struct own_unique u = { 0 };
	const struct own_conflict *c;
	struct actor a;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	actor_start(&a, &cell);
	a.site = &theirs;
	assert_int_equal(actor_do(&a, act_share), 0);
	assert_int_equal(own_cell_claim_try_at(&cell, &u, &mine), -EBUSY);
	c = own_conflict_last();
	assert_int_equal(c->parties_n, 2);
	party_is(&c->parties[1], tid_of(&a), "shared", &theirs);
	text_has(c, "-EBUSY: thread ");
	actor_do(&a, act_release);
	/* the same without bias */
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	own_unique_release(&u);
	assert_int_equal(actor_do(&a, act_share), 0);
	assert_int_equal(actor_do(&a, act_clone), 0);
	assert_int_equal(own_cell_claim_try_at(&cell, &u, &mine), -EBUSY);
	c = own_conflict_last();
	assert_int_equal(c->parties_n, 3);
	party_is(&c->parties[1], tid_of(&a), "shared (counted)", &theirs);
	party_is(&c->parties[2], tid_of(&a), "shared (counted)", &theirs);
	text_has(c, "-EBUSY: thread ");
	actor_stop(&a);
	own_cell_destroy(&cell);
}

static void
busy_leaves_out_who_has_left(void **state)
{
	struct own_unique u = { 0 };
	const struct own_conflict *c;
	char text[512];
	struct actor a;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_share), 0);
	assert_int_equal(own_cell_claim_try_at(&cell, &u, &mine), -EBUSY);
	actor_do(&a, act_release);
	c = own_conflict_last();
	assert_int_equal(c->parties_n, 1);
	party_is(&c->parties[0], own_i_this->tid, "unique", &mine);
	own_conflict_text(c, text, sizeof(text));
	assert_non_null(strstr(text, " at mine.c:11; held by nobody any more"));
	actor_stop(&a);
	own_cell_destroy(&cell);
}

static void
own_deadlock_names_both_places(void **state)
{
	struct own_unique u = { 0 }, v = { 0 };
	const struct own_conflict *c;

	item_cell(&cell, POLICY(state), 1, NULL);
	assert_int_equal(own_cell_claim_at(&cell, &u, &theirs), 0);
	assert_int_equal(own_cell_claim_at(&cell, &v, &mine), -EDEADLK);
	c = own_conflict_last();
	assert_int_equal(c->error, -EDEADLK);
	assert_int_equal(c->parties_n, 2);
	party_is(&c->parties[0], own_i_this->tid, "unique", &mine);
	party_is(&c->parties[1], own_i_this->tid, POLICY(state) ==
			OWN_VERSIONED ? "unique (draft)" : "unique", &theirs);
	text_has(c, "-EDEADLK: thread ");
	own_unique_release(&u);
	own_cell_destroy(&cell);
	assert_int_equal(own_barrier(), 0);
}

static void
own_deadlock_names_the_shared_handle(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	const struct own_conflict *c;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_share_at(&cell, &s, &theirs), 0);
	assert_int_equal(own_cell_claim_try_at(&cell, &u, &mine), -EDEADLK);
	c = own_conflict_last();
	assert_int_equal(c->parties_n, 2);
	party_is(&c->parties[1], own_i_this->tid, "shared", &theirs);
	text_has(c, "-EDEADLK: thread ");
	assert_int_equal(own_cell_claim_at(&cell, &u, &mine), -EDEADLK);
	c = own_conflict_last();
	assert_true(c->parties_n >= 2);
	text_has(c, "-EDEADLK: thread ");
	own_shared_release(&s);
	own_cell_destroy(&cell);
}

static void
timeout_names_who_held_it_then(void **state)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	const struct own_conflict *c;
	struct actor a;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	actor_start(&a, &cell);
	a.site = &theirs;
	for (int round = 0; round < 2; round++) {
		assert_int_equal(actor_do(&a, round ? act_claim : act_share),
				0);
		if (round)
			assert_int_equal(own_cell_share_timed_at(&cell,
					own_deadline_ns(2 * MS_NS), &s, &mine),
					-ETIMEDOUT);
		else
			assert_int_equal(own_cell_claim_timed_at(&cell,
					own_deadline_ns(2 * MS_NS), &u, &mine),
					-ETIMEDOUT);
		actor_do(&a, act_release);
		c = own_conflict_last();
		assert_int_equal(c->error, -ETIMEDOUT);
		party_is(&c->parties[0], own_i_this->tid, round ? "shared" :
				"unique", &mine);
		assert_true(c->parties_n >= 2);
		for (unsigned i = 1, found = 0; !found; i++) {
			assert_true(i < c->parties_n);
			found = c->parties[i].tid == tid_of(&a);
			if (found)
				party_is(&c->parties[i], tid_of(&a), round ?
						"unique" : "shared", &theirs);
		}
		text_has(c, "-ETIMEDOUT: thread ");
	}
	actor_stop(&a);
	own_cell_destroy(&cell);
}

static void
owner_dead_is_explained(void **state)
{
	struct own_unique u = { 0 };
	const struct own_conflict *c;
	struct actor a;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_claim), 0);
	actor_stop(&a);
	assert_int_equal(own_cell_claim_at(&cell, &u, &mine), -EOWNERDEAD);
	c = own_conflict_last();
	assert_int_equal(c->error, -EOWNERDEAD);
	assert_int_equal(c->parties_n, 1);
	party_is(&c->parties[0], own_i_this->tid, "unique", &mine);
	text_has(c, "-EOWNERDEAD: thread ");
	own_cell_destroy(&cell);
}

static int
act_nothing_refused(struct actor *a)
{
	(void)a;
	return own_conflict_last() == NULL;
}

static void
nothing_refused_is_null(void **state)
{
	struct own_unique u = { 0 };
	struct actor a;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	actor_start(&a, &cell);
	assert_true(actor_do(&a, act_nothing_refused));
	/* what was refused to this thread is not that one's */
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	assert_int_equal(actor_do(&a, act_claim_try), -EBUSY);
	assert_false(actor_do(&a, act_nothing_refused));
	own_unique_release(&u);
	actor_stop(&a);
	/* nor its successor's in the same record */
	actor_start(&a, &cell);
	assert_true(actor_do(&a, act_nothing_refused));
	actor_stop(&a);
	own_cell_destroy(&cell);
}

static void
nothing_used_yet(void)
{
	assert_null(own_conflict_last());
	assert_int_equal(own_dump(STDERR_FILENO), 0);
}

static void
report_before_the_first_use_is_empty(void **state)
{
	struct outcome o;

	(void)state;
	child_run("nothing_used_yet", NULL, &o);
	assert_int_equal(o.status, 0);
	assert_string_equal(o.text, "libown: handles and waits\n");
}

static void
success_after_a_wait_forgets_the_refusal(void **state)
{
	struct own_unique u = { 0 };
	struct actor a;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	actor_start(&a, &cell);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	assert_int_equal(actor_do(&a, act_claim_try), -EBUSY);
	actor_begin(&a, act_claim);
	actor_await(&a);
	own_unique_release(&u);
	assert_int_equal(actor_end(&a), 0);
	assert_true(actor_do(&a, act_nothing_refused));
	actor_do(&a, act_release);
	actor_stop(&a);
	own_cell_destroy(&cell);
}

static void
text_is_cut_as_by_snprintf(void **state)
{
	struct own_unique u = { 0 };
	const struct own_conflict *c;
	char whole[1024], part[1024];
	size_t n;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	{
		struct own_unique v = { 0 };

		assert_int_equal(own_cell_claim_try(&cell, &v), -EDEADLK);
	}
	c = own_conflict_last();
	n = own_conflict_text(c, whole, sizeof(whole));
	assert_int_equal(n, strlen(whole));
	assert_int_equal(own_conflict_text(c, NULL, 0), n);
	for (size_t size = 1; size <= n + 1; size++) {
		memset(part, 'x', sizeof(part));
		assert_int_equal(own_conflict_text(c, part, size), n);
		assert_int_equal(strlen(part), size - 1);
		assert_memory_equal(part, whole, size - 1);
		assert_int_equal(part[size], 'x');
	}
	own_unique_release(&u);
	own_cell_destroy(&cell);
}

static void
more_parties_than_fit_are_counted(void **state)
{
	struct own_shared s[OWN_PARTIES_MAX + 4] = { { 0 } };
	struct own_unique u = { 0 };
	const struct own_conflict *c;
	char text[8192];

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	for (unsigned i = 0; i < OWN_PARTIES_MAX + 4; i++)
		assert_int_equal(own_cell_share(&cell, &s[i]), 0);
	assert_int_equal(own_cell_claim_try(&cell, &u), -EDEADLK);
	c = own_conflict_last();
	assert_int_equal(c->parties_n, OWN_PARTIES_MAX);
	assert_int_equal(c->more_n, 5);
	own_conflict_text(c, text, sizeof(text));
	assert_non_null(strstr(text, ", and 5 more"));
	for (unsigned i = 0; i < OWN_PARTIES_MAX + 4; i++)
		own_shared_release(&s[i]);
	own_cell_destroy(&cell);
}

/* ---- dumps ---- */

static size_t
dump(char *text, size_t size)
{
	int ends[2];
	ssize_t n, length = 0;

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(own_dump(ends[1]), 0);
	(void)close(ends[1]);
	while ((n = read(ends[0], text + length, size - 1 - (size_t)length))
			> 0)
		length += n;
	(void)close(ends[0]);
	text[length] = '\0';
	return (size_t)length;
}

static void
dump_lists_holders_and_waiters(void **state)
{
	static char text[16384];
	struct own_shared s = { 0 };
	struct actor a, b;
	char part[256];

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	actor_start(&a, &cell);
	actor_start(&b, &cell);
	a.site = &theirs;
	assert_int_equal(own_cell_share_at(&cell, &s, &mine), 0);
	actor_begin(&a, act_claim);
	actor_await(&a);
	actor_begin(&b, act_share);
	actor_await(&b);
	(void)dump(text, sizeof(text));
	snprintf(part, sizeof(part), "thread %d (test_report), shared, item "
			"%p in the cell at mine.c:11, sequence ",
			own_i_this->tid, (void *)&cell.word);
	assert_non_null(strstr(text, part));
	snprintf(part, sizeof(part), "thread %d (test_report), unique, waiting "
			"for readers, item %p in the cell at theirs.c:22, "
			"waits at theirs.c:22, sequence ", tid_of(&a),
			(void *)&cell.word);
	assert_non_null(strstr(text, part));
	snprintf(part, sizeof(part), "thread %d waits for the readers of %p "
			"at theirs.c:22\n", tid_of(&a), (void *)&cell.word);
	assert_non_null(strstr(text, part));
	snprintf(part, sizeof(part), "thread %d waits for the writer of %p "
			"at actor.c:1\n", tid_of(&b), (void *)&cell.word);
	assert_non_null(strstr(text, part));
	own_shared_release(&s);
	assert_int_equal(actor_end(&a), 0);
	actor_do(&a, act_release);
	assert_int_equal(actor_end(&b), 0);
	actor_do(&b, act_release);
	(void)dump(text, sizeof(text));
	assert_string_equal(text, "libown: handles and waits\n");
	actor_stop(&a);
	actor_stop(&b);
	own_cell_destroy(&cell);
}

static void
dump_returns_the_error_of_write(void **state)
{
	(void)state;
	assert_int_equal(own_dump(-1), -EBADF);
	errno = 7;
	assert_int_equal(own_dump(-1), -EBADF);
	assert_int_equal(errno, 7);
}

static int dump_fd;
static uint32_t dumps_n, dump_error;
static uint32_t stop_work;

static void
on_signal(int signal_number)
{
	(void)signal_number;
	/* relaxed: counts */
	if (own_dump(dump_fd) != 0)
		(void)own__add(&dump_error, 1, OWN__RELAXED);
	(void)own__add(&dumps_n, 1, OWN__RELAXED);
}

/* Takes and gives back without a pause, with cells that come and go. */
static int
act_work(struct actor *a)
{
	struct own_cell *own = a->arg;

	while (!own__load(&stop_work, OWN__ACQUIRE)) {
		struct own_shared s = { 0 };
		struct own_unique u = { 0 };

		if (own_cell_share_try(a->cell, &s) == 0)
			own_shared_release(&s);
		if (own_cell_claim_try(a->cell, &u) == 0)
			own_unique_release(&u);
		item_cell(own, OWN_VERSIONED, 1, NULL);
		assert_int_equal(own_cell_share(own, &s), 0);
		own_shared_release(&s);
		own_cell_destroy(own);
	}
	return 0;
}

static void
dump_from_a_signal_handler_while_threads_work(void **state)
{
	struct sigaction action = { .sa_handler = on_signal }, before;
	struct own_cell *own[2];
	struct actor a[2];

	(void)state;
	dump_fd = open("/dev/null", O_WRONLY);
	assert_true(dump_fd >= 0);
	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	for (int i = 0; i < 2; i++) {
		actor_start(&a[i], &cell);
		own[i] = calloc(1, sizeof(*own[i]));
		a[i].arg = own[i];
		actor_begin(&a[i], act_work);
	}
	/* into the middle of whatever they do */
	for (uint32_t i = 0; i < 200; i++) {
		assert_int_equal(pthread_kill(a[i & 1].id, SIGUSR1), 0);
		while (own__load(&dumps_n, OWN__RELAXED) == i)
			sched_yield();
	}
	raise_flag(&stop_work);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(actor_end(&a[i]), 0);
		actor_stop(&a[i]);
		free(own[i]);
	}
	assert_int_equal(dump_error, 0);
	assert_int_equal(dumps_n, 200);
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
	(void)close(dump_fd);
	own_cell_destroy(&cell);
	assert_int_equal(own_barrier(), 0);
}

/* ---- stalls ---- */

struct told {
	uint32_t n;			/* shared */
	char text[1024];
};

static void
on_stall(const char *text, void *arg)
{
	struct told *told = arg;

	snprintf(told->text, sizeof(told->text), "%s", text);
	/* release: pairs with await_flag() */
	(void)own__add(&told->n, 1, OWN__RELEASE);
}

static void
wait_of_a_second_is_told(void **state)
{
	static struct told told;
	struct own_shared s = { 0 };
	struct actor a;
	char part[128];
	uint64_t began_ns;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	actor_start(&a, &cell);
	a.site = &theirs;
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	own_stall_hook(on_stall, &told);
	began_ns = own_now_ns();
	actor_begin(&a, act_claim);
	await_flag(&told.n);
	assert_true(own_now_ns() - began_ns >= 900 * MS_NS);
	snprintf(part, sizeof(part), "libown: thread %d waits since a second "
			"for %p at theirs.c:22; held by a detached handle",
			tid_of(&a), (void *)&cell.word);
	assert_int_equal(strncmp(told.text, part, strlen(part)), 0);
	own_shared_release(&s);
	assert_int_equal(actor_end(&a), 0);
	assert_int_equal(told.n, 1);
	actor_do(&a, act_release);
	actor_stop(&a);
	own_cell_destroy(&cell);
	own_stall_hook(NULL, NULL);
}

static void
stall_with(own_stall_fn fn, int set)
{
	struct own_unique u = { 0 };
	struct actor a;

	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	if (set)
		own_stall_hook(fn, NULL);
	assert_int_equal(own_cell_claim_at(&cell, &u, &mine), 0);
	actor_start(&a, &cell);
	a.site = &theirs;
	a.deadline_ns = own_deadline_ns(1500 * MS_NS);
	assert_int_equal(actor_do(&a, act_share_timed), -ETIMEDOUT);
	actor_stop(&a);
	own_unique_release(&u);
	own_cell_destroy(&cell);
}

static void
stall_by_default(void)
{
	stall_with(NULL, 0);
}

static void
stall_without_hook(void)
{
	stall_with(NULL, 1);
}

static void
stall_goes_to_stderr_by_default(void **state)
{
	struct outcome o;

	(void)state;
	child_run("stall_by_default", NULL, &o);
	assert_int_equal(o.status, 0);
	assert_non_null(strstr(o.text, "waits since a second for 0x"));
	assert_non_null(strstr(o.text, " at theirs.c:22; held by thread "));
	assert_non_null(strstr(o.text, "unique, item"));
	assert_non_null(strstr(o.text, " at mine.c:11\n"));
	child_run("stall_without_hook", NULL, &o);
	assert_int_equal(o.status, 0);
	assert_string_equal(o.text, "");
}

/* ---- faults ---- */

static void
require_fails(void)
{
	own_require(1 + 1 == 3, "what was wrong", &mine);
}

static void
require_fails_nowhere(void)
{
	own_require(0, "what was wrong", NULL);
}

static void
require_stops_the_process(void **state)
{
	(void)state;
	own_require(1, "never said", NULL);
	child_aborts("require_fails", "libown: what was wrong at mine.c:11\n",
			NULL);
	child_aborts("require_fails_nowhere", "libown: what was wrong\n",
			NULL);
}

static const struct child children[] = {
	CHILD(nothing_used_yet),
	CHILD(require_fails),
	CHILD(require_fails_nowhere),
	CHILD(stall_by_default),
	CHILD(stall_without_hook),
};

static const struct CMUnitTest tests[] = {
	TEST_BOTH(busy_names_both_sides),
	TEST(busy_names_readers),
	TEST(busy_leaves_out_who_has_left),
	TEST_BOTH(own_deadlock_names_both_places),
	TEST(own_deadlock_names_the_shared_handle),
	TEST(timeout_names_who_held_it_then),
	TEST(owner_dead_is_explained),
	TEST(nothing_refused_is_null),
	TEST(report_before_the_first_use_is_empty),
	TEST(success_after_a_wait_forgets_the_refusal),
	TEST(text_is_cut_as_by_snprintf),
	TEST(more_parties_than_fit_are_counted),
	TEST(dump_lists_holders_and_waiters),
	TEST(dump_returns_the_error_of_write),
	TEST(dump_from_a_signal_handler_while_threads_work),
	TEST(wait_of_a_second_is_told),
	TEST(stall_goes_to_stderr_by_default),
	TEST(require_stops_the_process),
};

TESTS_MAIN("report");
