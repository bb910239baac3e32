/* SPDX-License-Identifier: MIT */
/* test_word.c - the borrow word by itself: flags, count, bias */
#include "tests/support.h"

#define READ_ONE	(UINT64_C(1) << 32)
#define LOW(w)		((uint32_t)(w))

static const struct own_site here = { "word.c", 1 };
static uint64_t word;

static uint64_t
seen(void)
{
	/* relaxed: a look */
	return own__load(&word, OWN__RELAXED);
}

static struct own_i_slot
slot(void)
{
	struct own_i_slot s;

	assert_non_null(own_i_self());
	assert_int_equal(own_i_slot_take(own_i_this, NULL, &here, &s), 0);
	return s;
}

/* As claim() of lib/cell.c does before it asks. */
static struct own_i_slot
note(void)
{
	struct own_i_slot s = slot();

	own_i_slot_kind(s, OWN__HOW_TRYING);
	own_i_slot_store(s, (uintptr_t)&word | OWN__NOTE);
	return s;
}

static uint64_t
kind(struct own_i_slot s)
{
	return own_i_slot_how(s) & OWN__HOW_KIND;
}

static void
slot_is_free(struct own_i_slot s)
{
	assert_int_equal(*s.object, 0);
	assert_int_equal(kind(s), OWN__HOW_HOLD);
}

static int
share(struct own_i_slot s, uint64_t deadline_ns)
{
	return own_i_word_share(own_i_this, s, &word, deadline_ns, 0);
}

static int
claim(struct own_i_slot s, uint64_t deadline_ns)
{
	return own_i_word_claim(own_i_this, s, &word, deadline_ns, 0);
}

static void
end_claim(struct own_i_slot s)
{
	own_i_word_unwriter(&word, 1, 0, 0);
	own_i_slot_free(s);
}

/* ---- share ---- */

static void
biased_share_writes_no_word(void **state)
{
	struct own_i_slot s = slot();

	(void)state;
	word = OWN__BIASED | 7 * READ_ONE;
	assert_int_equal(share(s, OWN__TRY), 0);
	assert_int_equal(kind(s), OWN__HOW_HOLD);
	assert_int_equal(*s.object, (uintptr_t)&word);
	assert_true(seen() == (OWN__BIASED | 7 * READ_ONE));
	own_i_slot_free(s);
	assert_true(seen() == (OWN__BIASED | 7 * READ_ONE));
}

static void
unbiased_share_is_counted(void **state)
{
	struct own_i_slot s = slot();

	(void)state;
	word = 7 * READ_ONE;
	assert_int_equal(share(s, OWN__TRY), 0);
	assert_int_equal(kind(s), OWN__HOW_COUNTED);
	/* noted: kept, but not waited for */
	assert_int_equal(*s.object, (uintptr_t)&word | OWN__NOTE);
	assert_true(seen() == (OWN__COUNT_ONE | 6 * READ_ONE));
	own_i_word_uncount(&word);
	own_i_slot_free(s);
	assert_true(seen() == 6 * READ_ONE);
}

static void
bias_comes_after_the_configured_reads(void **state)
{
	struct own_i_slot s = note();
	uint64_t missing, n = 0;

	(void)state;
	/* a claim takes the bias away; then that many reads are missing */
	word = OWN__BIASED;
	assert_int_equal(claim(s, OWN__TRY), 0);
	end_claim(s);
	missing = seen() >> 32;
	assert_int_equal(LOW(seen()), 0);
	assert_true(missing >= OWN__BIAS_READS);
	/* no more than a million of them, however slow the fence was */
	if (missing > 1000000) {
		missing = 1000000;
		word = missing * READ_ONE;
	}
	while (!(seen() & OWN__BIASED)) {
		s = slot();
		assert_int_equal(share(s, OWN__TRY), 0);
		assert_int_equal(kind(s), OWN__HOW_COUNTED);
		own_i_word_uncount(&word);
		own_i_slot_free(s);
		n++;
	}
	assert_int_equal(n, missing + 1);
	s = slot();
	assert_int_equal(share(s, OWN__TRY), 0);
	assert_int_equal(kind(s), OWN__HOW_HOLD);
	own_i_slot_free(s);
}

static void
unbiased_claim_asks_for_all_reads_again(void **state)
{
	struct own_i_slot s = note();

	(void)state;
	word = 3 * READ_ONE;
	assert_int_equal(claim(s, OWN__TRY), 0);
	assert_int_equal(kind(s), OWN__HOW_UNIQUE);
	assert_true(seen() == (OWN__WRITER | OWN__BIAS_READS * READ_ONE));
	end_claim(s);
	/* what is missing already is not forgiven */
	word = (OWN__BIAS_READS + 9) * READ_ONE;
	s = note();
	assert_int_equal(claim(s, OWN__TRY), 0);
	end_claim(s);
	assert_true(seen() == (OWN__BIAS_READS + 9) * READ_ONE);
}

static void
share_refused_leaves_nothing(void **state)
{
	static const struct {
		uint32_t flags;
		int error;
	} cases[] = {
		{ OWN__DEAD, -ENOENT },
		{ OWN__DEAD | OWN__BIASED, -ENOENT },
		{ OWN__ORPHAN, -EOWNERDEAD },
		{ OWN__ORPHAN | OWN__BIASED, -EOWNERDEAD },
		{ OWN__ORPHAN | OWN__WRITER, -EOWNERDEAD },
		{ OWN__WRITER, -EBUSY },
		{ OWN__WRITER | OWN__BIASED, -EBUSY },
		{ OWN__COUNT_MASK, -EOVERFLOW },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct own_i_slot s = slot();

		word = cases[i].flags;
		assert_int_equal(share(s, OWN__TRY), cases[i].error);
		slot_is_free(s);
		assert_int_equal(seen(), cases[i].flags);
	}
}

static void
share_and_claim_time_out_with_waiters_set(void **state)
{
	struct own_i_slot s;
	uint64_t deadline_ns;

	(void)state;
	word = OWN__WRITER;
	s = slot();
	deadline_ns = own_deadline_ns(3 * MS_NS);
	assert_int_equal(share(s, deadline_ns), -ETIMEDOUT);
	assert_true(own_now_ns() >= deadline_ns);
	slot_is_free(s);
	/* those who may still sleep are not forgotten */
	assert_int_equal(LOW(seen()) & (OWN__WRITER | OWN__WAITERS),
			OWN__WRITER | OWN__WAITERS);
	word = OWN__WRITER;
	s = note();
	deadline_ns = own_deadline_ns(3 * MS_NS);
	assert_int_equal(claim(s, deadline_ns), -ETIMEDOUT);
	assert_true(own_now_ns() >= deadline_ns);
	slot_is_free(s);
	assert_int_equal(LOW(seen()) & (OWN__WRITER | OWN__WAITERS),
			OWN__WRITER | OWN__WAITERS);
	/* a deadline that has passed refuses nobody whom nothing refuses */
	word = 0;
	s = slot();
	assert_int_equal(share(s, 1), 0);
	own_i_word_uncount(&word);
	own_i_slot_free(s);
	s = note();
	assert_int_equal(claim(s, 1), 0);
	end_claim(s);
}

static void
holder_shares_again_past_a_writer(void **state)
{
	struct own_i_slot s = slot(), t;

	(void)state;
	word = OWN__BIASED;
	assert_int_equal(share(s, OWN__TRY), 0);
	word |= OWN__WRITER;
	t = slot();
	assert_int_equal(share(t, OWN__TRY), 0);
	assert_int_equal(kind(t), OWN__HOW_COUNTED);
	/* neither bought bias nor lost it */
	assert_int_equal(seen(), OWN__WRITER | OWN__BIASED | OWN__COUNT_ONE);
	own_i_word_uncount(&word);
	own_i_slot_free(t);
	own_i_slot_free(s);
}

static void
count_keeps_flags_and_stops_at_its_limit(void **state)
{
	(void)state;
	word = OWN__COUNT_MASK - OWN__COUNT_ONE + OWN__DEAD + OWN__WRITER +
		5 * READ_ONE;
	assert_int_equal(own_i_word_count(&word), 0);
	assert_true(seen() == (OWN__COUNT_MASK | OWN__DEAD | OWN__WRITER) +
			5 * READ_ONE);
	assert_int_equal(own_i_word_count(&word), -EOVERFLOW);
	assert_true(seen() == (OWN__COUNT_MASK | OWN__DEAD | OWN__WRITER) +
			5 * READ_ONE);
	own_i_word_uncount(&word);
	assert_true(seen() == (OWN__COUNT_MASK - OWN__COUNT_ONE) +
			(OWN__DEAD | OWN__WRITER) + 5 * READ_ONE);
}

/* ---- claim ---- */

static void
claim_refused_leaves_nothing(void **state)
{
	static const struct {
		uint32_t flags;
		int error;
	} cases[] = {
		{ OWN__DEAD, -ENOENT },
		{ OWN__ORPHAN, -EOWNERDEAD },
		{ OWN__WRITER, -EBUSY },
		{ OWN__WRITER | OWN__BIASED, -EBUSY },
		{ OWN__COUNT_ONE, -EBUSY },
		{ OWN__COUNT_ONE | OWN__BIASED, -EBUSY },
		{ OWN__COUNT_MASK, -EBUSY },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct own_i_slot s = note();

		word = cases[i].flags;
		assert_int_equal(claim(s, OWN__TRY), cases[i].error);
		slot_is_free(s);
		assert_int_equal(seen(), cases[i].flags);
	}
}

static void
claim_that_gives_up_leaves_the_bias(void **state)
{
	struct own_i_slot s = slot(), c;

	(void)state;
	word = OWN__BIASED;
	assert_int_equal(share(s, OWN__TRY), 0);
	c = note();
	assert_int_equal(claim(c, OWN__TRY), -EDEADLK);
	slot_is_free(c);
	assert_int_equal(LOW(seen()), OWN__BIASED);
	c = note();
	assert_int_equal(claim(c, own_deadline_ns(LONG_NS)), -EDEADLK);
	assert_int_equal(LOW(seen()), OWN__BIASED);
	own_i_slot_free(s);
	/* by its count, and timed out */
	word = OWN__BIASED | OWN__COUNT_ONE;
	c = note();
	assert_int_equal(claim(c, own_deadline_ns(2 * MS_NS)), -ETIMEDOUT);
	slot_is_free(c);
	assert_int_equal(LOW(seen()), OWN__BIASED | OWN__COUNT_ONE);
}

static void
refused_try_does_not_disturb_readers(void **state)
{
	struct own_i_slot c = note();

	(void)state;
	/* reads still missing would be asked for again by a WRITER */
	word = OWN__COUNT_ONE | READ_ONE;
	assert_int_equal(claim(c, OWN__TRY), -EBUSY);
	assert_true(seen() == (OWN__COUNT_ONE | READ_ONE));
}

static void
claim_that_succeeds_takes_the_bias(void **state)
{
	struct own_i_slot s = note();
	uint64_t fences = own_i_fences();

	(void)state;
	word = OWN__BIASED;
	assert_int_equal(claim(s, OWN__TRY), 0);
	/* what a membarrier costs is paid while it is biased, and only then */
	assert_int_equal(own_i_fences() - fences, own_i_fenced ? 0 : 1);
	assert_int_equal(LOW(seen()), OWN__WRITER | OWN__BIASED);
	end_claim(s);
	assert_int_equal(LOW(seen()), 0);
	s = note();
	fences = own_i_fences();
	assert_int_equal(claim(s, OWN__TRY), 0);
	assert_int_equal(own_i_fences(), fences);
	end_claim(s);
}

/* FAIR alone stops nobody: a record has to say so too. */
static void
claim_passes_a_fair_that_was_left(void **state)
{
	struct own_i_slot s = note();

	(void)state;
	word = OWN__FAIR;
	assert_int_equal(claim(s, OWN__FOREVER), 0);
	assert_int_equal(LOW(seen()), OWN__WRITER);
	end_claim(s);
	assert_int_equal(LOW(seen()), 0);
}

/* Who has been overtaken goes first: but past a try, and a deadline. */
static void
claim_lets_the_overtaken_go_first(void **state)
{
	struct actor other;
	struct own_i_slot s = note();
	uint64_t before;

	(void)state;
	actor_start(&other, NULL);
	/* as if it had been woken, and had no processor yet */
	other.record->overtaken = (uintptr_t)&word;
	word = OWN__FAIR;
	assert_int_equal(claim(s, OWN__TRY), 0);
	assert_int_equal(LOW(seen()), OWN__WRITER | OWN__FAIR);
	end_claim(s);
	s = note();
	before = own_now_ns();
	assert_int_equal(claim(s, own_deadline_ns(MS_NS)), 0);
	assert_true(own_now_ns() - before >= MS_NS);
	end_claim(s);
	/* without one: when it has waited as long itself */
	word = OWN__FAIR;
	s = note();
	before = own_now_ns();
	assert_int_equal(claim(s, OWN__FOREVER), 0);
	assert_true(own_now_ns() - before >= 5 * MS_NS);
	assert_int_equal(own_i_this->overtaken, 0);
	end_claim(s);
	other.record->overtaken = 0;
	actor_stop(&other);
	word = 0;
}

static void
orphan_is_taken_by_who_asks_for_it(void **state)
{
	struct own_i_slot s = note();

	(void)state;
	word = 0;
	assert_int_equal(own_i_word_claim(own_i_this, s, &word, OWN__TRY, 1),
			-EINVAL);
	slot_is_free(s);
	word = OWN__ORPHAN;
	s = note();
	assert_int_equal(own_i_word_claim(own_i_this, s, &word, OWN__TRY, 1),
			0);
	assert_int_equal(LOW(seen()), OWN__WRITER | OWN__ORPHAN);
	end_claim(s);
	assert_int_equal(LOW(seen()), 0);
	/* beside a reader it stays an orphan */
	word = OWN__ORPHAN | OWN__COUNT_ONE;
	s = note();
	assert_int_equal(own_i_word_claim(own_i_this, s, &word, OWN__TRY, 1),
			-EBUSY);
	slot_is_free(s);
	assert_int_equal(LOW(seen()), OWN__ORPHAN | OWN__COUNT_ONE);
}

/* ---- the end of a claim ---- */

static void
unwriter_clears_what_it_has_to(void **state)
{
	(void)state;
	word = OWN__WRITER | OWN__WAITERS | OWN__BIASED | OWN__COUNT_ONE;
	own_i_word_unwriter(&word, 0, 0, 0);
	assert_int_equal(LOW(seen()), OWN__BIASED | OWN__COUNT_ONE);
	word = OWN__WRITER | OWN__WAITERS | OWN__BIASED;
	own_i_word_unwriter(&word, 1, OWN__COUNT_ONE, 0);
	assert_int_equal(LOW(seen()), OWN__COUNT_ONE);
	assert_true(seen() >> 32 >= OWN__BIAS_READS);
	word = OWN__WRITER | OWN__BIASED;
	own_i_word_unwriter(&word, 1, 0, OWN__ORPHAN);
	assert_int_equal(LOW(seen()), OWN__ORPHAN);
	word = OWN__WRITER | OWN__ORPHAN;
	own_i_word_unwriter(&word, 1, 0, 0);
	assert_int_equal(LOW(seen()), 0);
}

static int
act_claim_word(struct actor *a)
{
	struct own_i_slot s = note();
	int r = own_i_word_claim(own_i_this, s, &word, own_deadline_ns(LONG_NS),
			0);

	(void)a;
	if (r == 0) {
		/* on behalf of those who may still sleep */
		r = (int)(LOW(seen()) & OWN__WAITERS);
		end_claim(s);
	}
	return r;
}

static int
act_share_word(struct actor *a)
{
	struct own_i_slot s = slot();
	int r = own_i_word_share(own_i_this, s, &word, OWN__FOREVER, 0);

	(void)a;
	if (r == 0) {
		own_i_word_uncount(&word);
		own_i_slot_free(s);
	}
	return r;
}

static void
claimer_that_slept_wakes_the_next(void **state)
{
	struct actor a[3], reader;
	struct own_i_slot s = note();
	uint64_t slice_ns = own_i_slice_ns;

	(void)state;
	/* nobody looks again by himself: a lost wake-up would hang */
	own_i_slice_ns = 0;
	word = 0;
	assert_int_equal(claim(s, OWN__TRY), 0);
	for (int i = 0; i < 3; i++) {
		actor_start(&a[i], NULL);
		actor_begin(&a[i], act_claim_word);
		actor_await(&a[i]);
	}
	actor_start(&reader, NULL);
	actor_begin(&reader, act_share_word);
	actor_await(&reader);
	end_claim(s);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(actor_end(&a[i]), OWN__WAITERS);
		actor_stop(&a[i]);
	}
	assert_int_equal(actor_end(&reader), 0);
	actor_stop(&reader);
	assert_int_equal(LOW(seen()) & ~OWN__WAITERS & ~OWN__FAIR, 0);
	own_i_slice_ns = slice_ns;
}

static void
last_counted_reader_wakes_the_claimer(void **state)
{
	struct own_i_slot s = slot(), t;
	uint64_t slice_ns = own_i_slice_ns;
	struct actor a;

	(void)state;
	own_i_slice_ns = 0;
	word = 9 * READ_ONE;
	assert_int_equal(share(s, OWN__TRY), 0);
	t = slot();
	assert_int_equal(share(t, OWN__TRY), 0);
	actor_start(&a, NULL);
	actor_begin(&a, act_claim_word);
	actor_await(&a);
	own_i_word_uncount(&word);
	own_i_slot_free(t);
	own_i_word_uncount(&word);
	own_i_slot_free(s);
	assert_true(actor_end(&a) >= 0);
	actor_stop(&a);
	own_i_slice_ns = slice_ns;
}

static void
end_of_a_hold_wakes_the_claimer(void **state)
{
	struct own_i_slot s;
	uint64_t slice_ns = own_i_slice_ns;
	struct actor a;

	(void)state;
	own_i_slice_ns = 0;
	for (int round = 0; round < 2; round++) {
		word = OWN__BIASED;
		s = slot();
		assert_int_equal(share(s, OWN__TRY), 0);
		actor_start(&a, NULL);
		actor_begin(&a, act_claim_word);
		actor_await(&a);
		/* whatever the slot holds next */
		own_i_slot_set(s, round ? 0 : (uintptr_t)&here);
		assert_true(actor_end(&a) >= 0);
		own_i_slot_free(s);
		actor_stop(&a);
	}
	own_i_slice_ns = slice_ns;
}

/* ---- upgrade ---- */

static void
upgrade_takes_the_slot_along(void **state)
{
	struct own_i_slot s = slot();

	(void)state;
	word = OWN__BIASED;
	assert_int_equal(share(s, OWN__TRY), 0);
	assert_int_equal(own_i_word_upgrade_try(own_i_this, s, &word), 0);
	assert_int_equal(kind(s), OWN__HOW_UNIQUE);
	assert_int_equal(*s.object, (uintptr_t)&word | OWN__NOTE);
	assert_int_equal(LOW(seen()), OWN__WRITER | OWN__BIASED);
	end_claim(s);
	s = slot();
	assert_int_equal(share(s, OWN__TRY), 0);
	assert_int_equal(LOW(seen()), OWN__COUNT_ONE);
	assert_int_equal(own_i_word_upgrade_try(own_i_this, s, &word), 0);
	assert_int_equal(LOW(seen()), OWN__WRITER);
	end_claim(s);
	assert_int_equal(LOW(seen()), 0);
}

static void
upgrade_refused_leaves_the_share(void **state)
{
	struct own_i_slot s = slot();

	(void)state;
	word = OWN__BIASED;
	assert_int_equal(share(s, OWN__TRY), 0);
	word |= OWN__WRITER;
	assert_int_equal(own_i_word_upgrade_try(own_i_this, s, &word), -EBUSY);
	assert_int_equal(LOW(seen()), OWN__WRITER | OWN__BIASED);
	word = OWN__BIASED | OWN__COUNT_ONE;
	assert_int_equal(own_i_word_upgrade_try(own_i_this, s, &word), -EBUSY);
	assert_int_equal(LOW(seen()), OWN__BIASED | OWN__COUNT_ONE);
	assert_int_equal(kind(s), OWN__HOW_HOLD);
	assert_int_equal(*s.object, (uintptr_t)&word);
	own_i_slot_free(s);
}

NO_CHILDREN;

static const struct CMUnitTest tests[] = {
	TEST(biased_share_writes_no_word),
	TEST(unbiased_share_is_counted),
	TEST(bias_comes_after_the_configured_reads),
	TEST(unbiased_claim_asks_for_all_reads_again),
	TEST(share_refused_leaves_nothing),
	TEST(share_and_claim_time_out_with_waiters_set),
	TEST(holder_shares_again_past_a_writer),
	TEST(count_keeps_flags_and_stops_at_its_limit),
	TEST(claim_refused_leaves_nothing),
	TEST(claim_that_gives_up_leaves_the_bias),
	TEST(refused_try_does_not_disturb_readers),
	TEST(claim_that_succeeds_takes_the_bias),
	TEST(claim_passes_a_fair_that_was_left),
	TEST(claim_lets_the_overtaken_go_first),
	TEST(orphan_is_taken_by_who_asks_for_it),
	TEST(unwriter_clears_what_it_has_to),
	TEST(claimer_that_slept_wakes_the_next),
	TEST(last_counted_reader_wakes_the_claimer),
	TEST(end_of_a_hold_wakes_the_claimer),
	TEST(upgrade_takes_the_slot_along),
	TEST(upgrade_refused_leaves_the_share),
};

TESTS_MAIN("word");
