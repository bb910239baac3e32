/* SPDX-License-Identifier: MIT */
/* test_when.c - notes: they fire when what refused a verb has gone, and once */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "tests/map_support.h"

static struct own_cell cell;
static int fd;

static int
open_fd(void **state)
{
	(void)state;
	fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return fd < 0;
}

static int
close_fd(void **state)
{
	(void)state;
	return close(fd);
}

/* How often it fired since. */
static uint64_t
fired(void)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) != sizeof(n)) {
		assert_int_equal(errno, EAGAIN);
		return 0;
	}
	return n;
}

/* ---- cells: each way to be in the way ---- */

static void
claim_fires_when_a_reader_leaves(void **state)
{
	struct own_when when = OWN_WHEN_EVENTFD(fd);
	struct own_unique u = { 0 };
	struct actor a;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_share), 0);
	assert_int_equal(own_cell_claim_when(&cell, &when, &u), -EBUSY);
	assert_non_null(own_conflict_last());
	assert_int_equal(fired(), 0);
	assert_int_equal(actor_do(&a, act_release), 0);
	assert_int_equal(fired(), 1);
	assert_int_equal(own_when_cancel(&when), -ENOENT);
	assert_int_equal(own_cell_claim_when(&cell, &when, &u), 0);
	own_unique_release(&u);
	/* once */
	assert_int_equal(actor_do(&a, act_share), 0);
	assert_int_equal(actor_do(&a, act_release), 0);
	assert_int_equal(fired(), 0);
	actor_stop(&a);
	own_cell_destroy(&cell);
}

static void
claim_fires_when_a_counted_reader_leaves(void **state)
{
	struct own_when when = OWN_WHEN_EVENTFD(fd);
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	assert_int_equal(own_cell_claim_when(&cell, &when, &u), -EBUSY);
	assert_int_equal(fired(), 0);
	own_shared_release(&s);
	assert_int_equal(fired(), 1);
	assert_int_equal(own_cell_claim_when(&cell, &when, &u), 0);
	own_unique_release(&u);
	own_cell_destroy(&cell);
}

/* Two readers: at the first one's end it is armed anew, at the other's. */
static void
claim_is_armed_anew_at_the_next_reader(void **state)
{
	struct own_when when = OWN_WHEN_EVENTFD(fd);
	struct own_unique u = { 0 };
	struct actor a, b;
	unsigned tries = 0;
	int r;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	actor_start(&a, &cell);
	actor_start(&b, &cell);
	assert_int_equal(actor_do(&a, act_share), 0);
	assert_int_equal(actor_do(&b, act_share), 0);
	assert_int_equal(own_cell_claim_when(&cell, &when, &u), -EBUSY);
	assert_int_equal(actor_do(&a, act_release), 0);
	if (fired())
		assert_int_equal(own_cell_claim_when(&cell, &when, &u),
				-EBUSY);
	assert_int_equal(fired(), 0);
	assert_int_equal(actor_do(&b, act_release), 0);
	assert_int_equal(fired(), 1);
	while ((r = own_cell_claim_when(&cell, &when, &u)) == -EBUSY)
		assert_true(++tries < 3);
	assert_int_equal(r, 0);
	own_unique_release(&u);
	actor_stop(&a);
	actor_stop(&b);
	own_cell_destroy(&cell);
}

static void
share_and_claim_fire_when_the_writer_leaves(void **state)
{
	struct own_when note[2] = { OWN_WHEN_EVENTFD(fd),
			OWN_WHEN_EVENTFD(fd) };
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	int exclusive = POLICY(state) == OWN_EXCLUSIVE;
	struct actor a;

	item_cell(&cell, POLICY(state), 1, NULL);
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_claim), 0);
	assert_int_equal(own_cell_share_when(&cell, &note[0], &s),
			exclusive ? -EBUSY : 0);
	own_shared_release(&s);
	assert_int_equal(own_cell_claim_when(&cell, &note[1], &u), -EBUSY);
	assert_int_equal(fired(), 0);
	assert_int_equal(actor_do(&a, act_commit), 0);
	assert_int_equal(fired(), 1 + exclusive);
	assert_int_equal(own_cell_share_when(&cell, &note[0], &s), 0);
	own_shared_release(&s);
	assert_int_equal(own_cell_claim_when(&cell, &note[1], &u), 0);
	own_unique_release(&u);
	actor_stop(&a);
	own_cell_destroy(&cell);
}

static void
share_fires_at_a_downgrade(void **state)
{
	struct own_when when = OWN_WHEN_EVENTFD(fd);
	struct own_shared s = { 0 };
	struct actor a;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_claim), 0);
	assert_int_equal(own_cell_share_when(&cell, &when, &s), -EBUSY);
	assert_int_equal(actor_do(&a, act_downgrade), 0);
	assert_int_equal(fired(), 1);
	assert_int_equal(own_cell_share_when(&cell, &when, &s), 0);
	own_shared_release(&s);
	assert_int_equal(actor_do(&a, act_release), 0);
	actor_stop(&a);
	own_cell_destroy(&cell);
}

static void
share_fires_at_the_writers_end_and_finds_an_orphan(void **state)
{
	struct own_when when = OWN_WHEN_EVENTFD(fd);
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };
	struct actor a;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_claim), 0);
	assert_int_equal(own_cell_share_when(&cell, &when, &s), -EBUSY);
	actor_stop(&a);
	assert_int_equal(fired(), 1);
	assert_int_equal(own_cell_share_when(&cell, &when, &s), -EOWNERDEAD);
	assert_int_equal(own_when_cancel(&when), -ENOENT);
	assert_int_equal(own_cell_orphan_claim(&cell, &u), 0);
	own_unique_release(&u);
	own_cell_destroy(&cell);
}

static void
own_handle_is_told_at_once(void **state)
{
	struct own_when when = OWN_WHEN_EVENTFD(fd);
	struct own_shared s = { 0 };
	struct own_unique u = { 0 };

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_cell_claim_when(&cell, &when, &u), -EDEADLK);
	assert_int_equal(own_when_cancel(&when), -ENOENT);
	own_shared_release(&s);
	own_cell_destroy(&cell);
}

/* ---- entries, whole maps ---- */

static int
remove_held(struct actor *a)
{
	own_map_remove_held(&a->u);
	return 0;
}

static void
entry_fires(void **state)
{
	struct own_when when = OWN_WHEN_EVENTFD(fd);
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	int exclusive = KIND(state)->policy == OWN_EXCLUSIVE, made;
	struct actor a;
	struct spot at;

	begin(KIND(state));
	spot_start(&a, &at, KEY(1));
	assert_int_equal(own_map_claim_when(map, KEY(1), &when, &u), -ENOENT);
	assert_int_equal(actor_do(&a, at_claim_or_new), 0);
	/* in the making */
	assert_int_equal(own_map_claim_or_new_when(map, KEY(1), &when, &u,
			&made), -EBUSY);
	actor_set(&a, 1);
	assert_int_equal(actor_do(&a, act_commit), 0);
	assert_int_equal(fired(), 1);
	assert_int_equal(own_map_claim_or_new_when(map, KEY(1), &when, &u,
			&made), 0);
	assert_int_equal(made, 0);
	own_unique_release(&u);
	/* a writer */
	assert_int_equal(actor_do(&a, at_claim), 0);
	assert_int_equal(own_map_share_when(map, KEY(1), &when, &s),
			exclusive ? -EBUSY : 0);
	own_shared_release(&s);
	assert_int_equal(own_map_claim_when(map, KEY(1), &when, &u), -EBUSY);
	assert_int_equal(actor_do(&a, act_release), 0);
	assert_int_equal(fired(), 1);
	assert_int_equal(own_map_claim_when(map, KEY(1), &when, &u), 0);
	own_unique_release(&u);
	/* a reader, and then nothing is left */
	assert_int_equal(actor_do(&a, at_share), 0);
	assert_int_equal(own_map_claim_when(map, KEY(1), &when, &u),
			exclusive ? -EBUSY : 0);
	own_unique_release(&u);
	assert_int_equal(actor_do(&a, act_release), 0);
	assert_int_equal(fired(), exclusive);
	assert_int_equal(actor_do(&a, at_claim), 0);
	assert_int_equal(own_map_claim_when(map, KEY(1), &when, &u), -EBUSY);
	assert_int_equal(actor_do(&a, remove_held), 0);
	assert_int_equal(fired(), 1);
	assert_int_equal(own_map_claim_when(map, KEY(1), &when, &u), -ENOENT);
	actor_stop(&a);
	finish_any();
}

/* by: a verb on the entry, or on the whole, that is in the way */
static void
whole_fires_for(int (*by)(struct actor *a), int detach)
{
	struct own_when when = OWN_WHEN_EVENTFD(fd);
	struct own_unique u = { 0 };
	struct actor a;
	struct spot at;
	unsigned tries = 0;
	int r;

	spot_start(&a, &at, KEY(1));
	assert_int_equal(actor_do(&a, by), 0);
	if (detach)
		assert_int_equal(actor_do(&a, act_detach), 0);
	assert_int_equal(own_map_claim_all_when(map, &when, &u), -EBUSY);
	assert_int_equal(fired(), 0);
	assert_int_equal(actor_do(&a, act_release), 0);
	assert_int_equal(fired(), 1);
	while ((r = own_map_claim_all_when(map, &when, &u)) == -EBUSY)
		assert_true(++tries < 3);
	assert_int_equal(r, 0);
	own_unique_release(&u);
	actor_stop(&a);
}

static void
whole_fires(void **state)
{
	begin(KIND(state));
	add(map, KEY(1), 1);
	whole_fires_for(at_share, 0);
	whole_fires_for(at_claim, 0);
	whole_fires_for(at_share_all, 0);
	whole_fires_for(at_share_all, 1);
	whole_fires_for(at_claim_all, 0);
	if (KIND(state)->policy == OWN_EXCLUSIVE)
		whole_fires_for(at_share, 1);
	finish_any();
}

static void
entries_and_shares_fire_for_the_whole(void **state)
{
	struct own_when note[3] = { OWN_WHEN_EVENTFD(fd), OWN_WHEN_EVENTFD(fd),
			OWN_WHEN_EVENTFD(fd) };
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct actor a;
	struct spot at;

	begin(KIND(state));
	add(map, KEY(1), 1);
	spot_start(&a, &at, KEY(1));
	assert_int_equal(actor_do(&a, at_claim_all), 0);
	assert_int_equal(own_map_share_when(map, KEY(1), &note[0], &s),
			-EBUSY);
	assert_int_equal(own_map_claim_when(map, KEY(1), &note[1], &u),
			-EBUSY);
	assert_int_equal(own_map_share_all_when(map, &note[2], &s), -EBUSY);
	assert_int_equal(fired(), 0);
	assert_int_equal(actor_do(&a, act_release), 0);
	assert_int_equal(fired(), 3);
	assert_int_equal(own_map_share_when(map, KEY(1), &note[0], &s), 0);
	own_shared_release(&s);
	assert_int_equal(own_map_claim_when(map, KEY(1), &note[1], &u), 0);
	own_unique_release(&u);
	assert_int_equal(own_map_share_all_when(map, &note[2], &s), 0);
	own_shared_release(&s);
	actor_stop(&a);
	finish_any();
}

/* ---- the note itself ---- */

static void
cancelled_note_does_not_fire(void **state)
{
	struct own_when when = OWN_WHEN_EVENTFD(fd);
	struct own_unique u = { 0 };
	struct actor a;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_when_cancel(&when), -ENOENT);
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_share), 0);
	/* what is armed may be armed again */
	assert_int_equal(own_cell_claim_when(&cell, &when, &u), -EBUSY);
	assert_int_equal(own_cell_claim_when(&cell, &when, &u), -EBUSY);
	assert_int_equal(own_when_cancel(&when), 0);
	assert_int_equal(own_when_cancel(&when), -ENOENT);
	assert_int_equal(actor_do(&a, act_release), 0);
	assert_int_equal(fired(), 0);
	actor_stop(&a);
	own_cell_destroy(&cell);
}

static void
dump_tells_of_notes(void **state)
{
	struct own_when when = OWN_WHEN_EVENTFD(fd);
	struct own_unique u = { 0 }, more = { 0 };
	char text[1024], address[32];
	int ends[2];
	ssize_t n;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	assert_int_equal(own_unique_detach(&u), 0);
	assert_int_equal(own_cell_claim_when(&cell, &when, &more), -EBUSY);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(own_dump(ends[1]), 0);
	n = read(ends[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	(void)close(ends[0]);
	(void)close(ends[1]);
	(void)snprintf(address, sizeof(address), "%p at ", (void *)&cell);
	assert_non_null(strstr(text, "a note is armed"));
	assert_non_null(strstr(text, address));
	assert_non_null(strstr(text, "test_when.c:"));
	own_unique_release(&u);
	own_cell_destroy(&cell);
}

static int
arm(struct actor *a)
{
	return own_cell_claim_when(a->cell, (struct own_when *)a->arg, &a->u);
}

static void
note_outlives_its_thread(void **state)
{
	struct own_when when = OWN_WHEN_EVENTFD(fd);
	struct own_shared s = { 0 };
	struct actor a;

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	actor_start(&a, &cell);
	a.arg = &when;
	assert_int_equal(actor_do(&a, arm), -EBUSY);
	actor_stop(&a);
	assert_int_equal(fired(), 0);
	own_shared_release(&s);
	assert_int_equal(fired(), 1);
	own_cell_destroy(&cell);
}

static void
count_up(void *arg)
{
	(*(unsigned *)arg)++;
}

static void
function_runs_on_the_thread_that_lets_go(void **state)
{
	unsigned calls = 0;
	struct own_when when = OWN_WHEN_CALL(count_up, &calls);
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	assert_int_equal(own_cell_claim_when(&cell, &when, &u), -EBUSY);
	assert_int_equal(calls, 0);
	own_shared_release(&s);
	assert_int_equal(calls, 1);
	own_cell_destroy(&cell);
}

static char stall_text[256];

static void
on_stall(const char *text, void *arg)
{
	(void)arg;
	(void)snprintf(stall_text, sizeof(stall_text), "%s", text);
}

static void
closed_eventfd_is_told(void **state)
{
	struct own_when when = OWN_WHEN_EVENTFD(-1);
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };

	(void)state;
	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	own_stall_hook(on_stall, NULL);
	assert_int_equal(own_cell_claim_when(&cell, &when, &u), -EBUSY);
	own_shared_release(&s);
	own_stall_hook(NULL, NULL);
	assert_non_null(strstr(stall_text, "eventfd"));
	own_cell_destroy(&cell);
}

/* One bucket and others: each note of many fires, and only its own. */
static void
many_notes_fire_each_once(void **state)
{
	enum { N = 200 };
	static struct own_cell cells[N];
	static struct own_when notes[N];
	struct own_shared s[N];
	struct own_unique u = { 0 };

	(void)state;
	memset(s, 0, sizeof(s));
	for (unsigned i = 0; i < N; i++) {
		item_cell(&cells[i], OWN_EXCLUSIVE, i, NULL);
		notes[i] = (struct own_when)OWN_WHEN_EVENTFD(fd);
		assert_int_equal(own_cell_share(&cells[i], &s[i]), 0);
		assert_int_equal(own_shared_detach(&s[i]), 0);
		assert_int_equal(own_cell_claim_when(&cells[i], &notes[i],
				&u), -EBUSY);
	}
	for (unsigned i = 0; i < N; i += 2)
		assert_int_equal(own_when_cancel(&notes[i]), 0);
	for (unsigned i = 0; i < N; i++) {
		own_shared_release(&s[i]);
		assert_int_equal(fired(), i & 1);
		own_cell_destroy(&cells[i]);
	}
}

/* ---- what stops the process ---- */

static void
destroyed_while_armed(void)
{
	struct own_when when = OWN_WHEN_EVENTFD(1);
	struct own_unique u = { 0 }, more = { 0 };

	item_cell(&cell, OWN_VERSIONED, 1, NULL);
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	assert_int_equal(own_unique_detach(&u), 0);
	assert_int_equal(own_cell_claim_when(&cell, &when, &more), -EBUSY);
	/* as if the holder had gone, and its release not fired the note */
	cell.word &= ~(uint64_t)(OWN__WRITER | OWN__WAITERS);
	own_cell_destroy(&cell);
}

static struct own_when global;

static void
call_libown(void *arg)
{
	(void)arg;
	(void)own_when_cancel(&global);
}

static void
verb_in_a_function(void)
{
	struct own_when when = OWN_WHEN_CALL(call_libown, NULL);
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };

	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(own_shared_detach(&s), 0);
	assert_int_equal(own_cell_claim_when(&cell, &when, &u), -EBUSY);
	own_shared_release(&s);
}

static void
misuse_stops_the_process(void **state)
{
	(void)state;
	child_aborts("destroyed_while_armed", "own_when is armed",
			"test_when.c", NULL);
	child_aborts("verb_in_a_function", "function of an own_when", NULL);
}

static const struct child children[] = {
	CHILD(destroyed_while_armed),
	CHILD(verb_in_a_function),
};

#define WITH_FD(f)	{ #f, f, open_fd, close_fd, NULL }
#define WITH_FD_AS(f, what, kind)					\
	{ #f " (" what ")", f, open_fd, close_fd, &kind }
#define WITH_FD_MAP(f)							\
	WITH_FD_AS(f, "bytes, exclusive", bytes_exclusive),		\
	WITH_FD_AS(f, "u64, exclusive", u64_exclusive),			\
	WITH_FD_AS(f, "bytes, versioned", bytes_versioned),		\
	WITH_FD_AS(f, "u64, versioned", u64_versioned)

static const struct CMUnitTest tests[] = {
	WITH_FD(claim_fires_when_a_reader_leaves),
	WITH_FD(claim_fires_when_a_counted_reader_leaves),
	WITH_FD(claim_is_armed_anew_at_the_next_reader),
	WITH_FD_AS(share_and_claim_fire_when_the_writer_leaves, "exclusive",
			policy_exclusive),
	WITH_FD_AS(share_and_claim_fire_when_the_writer_leaves, "versioned",
			policy_versioned),
	WITH_FD(share_fires_at_a_downgrade),
	WITH_FD(share_fires_at_the_writers_end_and_finds_an_orphan),
	WITH_FD(own_handle_is_told_at_once),
	WITH_FD_MAP(entry_fires),
	WITH_FD_MAP(whole_fires),
	WITH_FD_MAP(entries_and_shares_fire_for_the_whole),
	WITH_FD(dump_tells_of_notes),
	WITH_FD(cancelled_note_does_not_fire),
	WITH_FD(note_outlives_its_thread),
	WITH_FD(function_runs_on_the_thread_that_lets_go),
	TEST(closed_eventfd_is_told),
	WITH_FD(many_notes_fire_each_once),
	TEST(misuse_stops_the_process),
};

TESTS_MAIN("when");
