/* SPDX-License-Identifier: MIT */
/* test_fork.c - what the child of a fork may do; doc/design/faults.md */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/map_support.h"

/* In a child, where cmocka would go on with the next case. */
#define MUST(condition)							\
	do {								\
		if (!(condition)) {					\
			(void)dprintf(STDERR_FILENO, "%s:%d: %s\n",	\
					__FILE__, __LINE__, #condition);\
			_exit(3);					\
		}							\
	} while (0)

/* What the parent holds when it forks. */
static struct {
	struct own_cell shared, unique, draft, detached, free;
	struct own_shared s, version, out, entry_s, whole;
	struct own_unique u, d, owned, entry;
} held;

static void
hold_kind(const struct kind *kind)
{
	memset(&held, 0, sizeof(held));
	item_cell(&held.shared, OWN_EXCLUSIVE, 1, NULL);
	item_cell(&held.unique, OWN_EXCLUSIVE, 2, NULL);
	item_cell(&held.draft, OWN_VERSIONED, 3, NULL);
	item_cell(&held.detached, OWN_EXCLUSIVE, 4, NULL);
	item_cell(&held.free, OWN_EXCLUSIVE, 5, NULL);
	map = map_new(&item_type, kind->policy, kind->flags);
	for (unsigned i = 0; i < 3; i++)
		add(map, KEY(i), i);
	assert_int_equal(own_cell_share(&held.shared, &held.s), 0);
	assert_int_equal(own_cell_share(&held.draft, &held.version), 0);
	assert_int_equal(own_cell_claim(&held.unique, &held.u), 0);
	assert_int_equal(own_cell_claim(&held.draft, &held.d), 0);
	assert_int_equal(own_cell_share(&held.detached, &held.out), 0);
	assert_int_equal(own_shared_detach(&held.out), 0);
	item_make(&held.owned, 6, NULL);
	assert_int_equal(own_map_claim(map, KEY(1), &held.entry), 0);
	assert_int_equal(own_map_share(map, KEY(2), &held.entry_s), 0);
}

static void
hold(void)
{
	hold_kind(&u64_exclusive);
}

/* Uses all of it, and gives all of it back; in the parent or a child. */
static void
use_up(void)
{
	struct own_unique u = { 0 };
	struct item copy;

	MUST(item_get(&held.s)->n == 1);
	MUST(own_cell_claim_try(&held.shared, &u) == -EDEADLK);
	own_shared_release(&held.s);
	MUST(own_cell_claim(&held.shared, &u) == 0);
	own_unique_release(&u);
	item_set(&held.u, 20);
	own_unique_release(&held.u);
	MUST(item_read(&held.unique, &copy) == 0 && copy.n == 20);
	item_set(&held.d, 30);
	own_unique_commit(&held.d);
	MUST(item_get(&held.version)->n == 3);
	own_shared_release(&held.version);
	MUST(item_read(&held.draft, &copy) == 0 && copy.n == 30);
	MUST(own_cell_claim_try(&held.detached, &u) == -EBUSY);
	own_shared_release(&held.out);
	MUST(own_cell_replace(&held.detached, &held.owned) == 0);
	MUST(item_read(&held.detached, &copy) == 0 && copy.n == 6);
	item_set(&held.entry, 10);
	own_unique_commit(&held.entry);
	MUST(own_map_read(map, KEY(1), &copy, sizeof(copy)) == 0);
	MUST(copy.n == 10);
	own_shared_release(&held.entry_s);
	MUST(own_map_claim_all(map, &u) == 0);
	own_unique_release(&u);
	MUST(own_map_remove(map, KEY(2)) == 0);
	MUST(!own_i_slot_any(own_i_this));
	own_cell_destroy(&held.shared);
	own_cell_destroy(&held.unique);
	own_cell_destroy(&held.draft);
	own_cell_destroy(&held.detached);
	own_cell_destroy(&held.free);
	own_map_destroy(map);
	MUST(own_barrier() == 0);
}

/* ---- children ---- */

/* What a child does, in a fork of this process as it is. */
static void
fork_run(void (*run)(void), struct outcome *ret)
{
	static const struct rlimit no_core = { 0, 0 };
	size_t length = 0;
	int ends[2];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)dup2(ends[1], STDERR_FILENO);
		(void)close(ends[0]);
		(void)close(ends[1]);
		run();
		_exit(0);
	}
	(void)close(ends[1]);
	do {
		n = read(ends[0], ret->text + length,
				sizeof(ret->text) - 1 - length);
		if (n > 0)
			length += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	ret->text[length] = '\0';
	(void)close(ends[0]);
	while (waitpid(pid, &ret->status, 0) != pid)
		assert_int_equal(errno, EINTR);
}

static void
fork_succeeds(const char *name, void (*run)(void))
{
	struct outcome o;

	fork_run(run, &o);
	if (!WIFEXITED(o.status) || WEXITSTATUS(o.status) != 0)
		fail_msg("%s: status %#x: %s", name, (unsigned)o.status,
				o.text);
}

static void
fork_stops(const char *name, void (*run)(void), pid_t of)
{
	struct outcome o;
	char text[256];

	fork_run(run, &o);
	(void)snprintf(text, sizeof(text), "libown: this process is a fork of "
			"process %d, in which another thread used libown: fork "
			"first, then threads; the child of a threaded process "
			"may only exec or exit\n", (int)of);
	if (!WIFSIGNALED(o.status) || WTERMSIG(o.status) != SIGABRT ||
			!strstr(o.text, text))
		fail_msg("%s: status %#x, wanted \"%s\" in: %s", name,
				(unsigned)o.status, text, o.text);
}

static void *
thread_uses(void *arg)
{
	struct own_unique u = { 0 };

	MUST(own_cell_claim(arg, &u) == 0);
	item_set(&u, 50);
	own_unique_release(&u);
	return NULL;
}

/* Membarrier reaches a thread that was started after the fork. */
static void
use_with_a_thread(void)
{
	struct own_shared s = { 0 };
	struct item copy;
	pthread_t id;
	uint64_t fences = own_i_fences();

	MUST(own_i_this && own_i_this->tid == gettid());
	MUST(own_i_fenced ? !own__self : own__self == &own_i_this->block.s);
	MUST(own_cell_share(&held.free, &s) == 0);
	own_shared_release(&s);
	MUST(pthread_create(&id, NULL, thread_uses, &held.free) == 0);
	MUST(pthread_join(id, NULL) == 0);
	MUST(own_i_fenced || own_i_fences() > fences);
	MUST(item_read(&held.free, &copy) == 0 && copy.n == 50);
	use_up();
}

static void
child_of_one_thread_goes_on(void **state)
{
	hold_kind(KIND(state));
	fork_succeeds("use_up", use_up);
	fork_succeeds("use_with_a_thread", use_with_a_thread);
	/* nothing of that was done here */
	assert_int_equal(item_get(&held.s)->n, 1);
	use_up();
}

static void
joined_threads_do_not_count(void **state)
{
	struct actor a, b;

	(void)state;
	hold();
	actor_start(&a, &held.free);
	actor_start(&b, &held.free);
	assert_int_equal(actor_do(&a, act_share), 0);
	actor_do(&a, act_release);
	actor_stop(&a);
	actor_stop(&b);
	fork_succeeds("use_with_a_thread", use_with_a_thread);
	use_up();
}

/* ---- a threaded parent ---- */

static struct actor other;

static void
begin_threaded(void)
{
	hold();
	actor_start(&other, &held.free);
	assert_int_equal(actor_do(&other, act_share), 0);
}

static void
end_threaded(void)
{
	actor_do(&other, act_release);
	actor_stop(&other);
	use_up();
}

static struct own_shared es;
static struct own_unique eu;

static int
peek(const void *payload, size_t size_bytes, void *arg)
{
	(void)payload;
	(void)size_bytes;
	(void)arg;
	return 0;
}

static int
visit(const struct own_shared *entry, void *arg)
{
	(void)entry;
	(void)arg;
	return 0;
}

#define VERB(name, ...)							\
	static void							\
	name(void)							\
	{								\
		__VA_ARGS__;						\
	}								\
	OWN__STATIC_ASSERT(sizeof(#name) > 1, "a verb")

VERB(share, (void)!own_cell_share(&held.shared, &es));
VERB(share_try, (void)!own_cell_share_try(&held.draft, &es));
VERB(share_timed, (void)!own_cell_share_timed(&held.free, 1, &es));
VERB(peek_cell, (void)!own_cell_peek(&held.shared, peek, NULL));
VERB(read_cell, struct item c; (void)!item_read(&held.shared, &c));
VERB(claim, (void)!own_cell_claim(&held.free, &eu));
VERB(claim_try, (void)!own_cell_claim_try(&held.draft, &eu));
VERB(orphan_claim, (void)!own_cell_orphan_claim(&held.free, &eu));
VERB(replace, (void)!own_cell_replace(&held.free, &held.owned));
VERB(swap, (void)!own_cell_swap(&held.free, &held.owned));
VERB(shared_release, own_shared_release(&held.s));
VERB(version_release, own_shared_release(&held.version));
VERB(detached_release, own_shared_release(&held.out));
VERB(entry_shared_release, own_shared_release(&held.entry_s));
VERB(unique_release, own_unique_release(&held.u));
VERB(draft_release, own_unique_release(&held.d));
VERB(owned_release, own_unique_release(&held.owned));
VERB(entry_release, own_unique_release(&held.entry));
VERB(unique_commit, own_unique_commit(&held.u));
VERB(draft_commit, own_unique_commit(&held.d));
VERB(clone_held, (void)!own_shared_clone(&held.s, &es));
VERB(clone_detached, (void)!own_shared_clone(&held.out, &es));
VERB(detach, (void)!own_shared_detach(&held.s));
VERB(detach_unique, (void)!own_unique_detach(&held.u));
VERB(make_mine, (void)!own_shared_make_mine(&held.s, &eu));
VERB(downgrade, own_unique_downgrade(&held.u, &es));
VERB(upgrade, (void)!own_shared_upgrade_try(&held.s, &eu));
VERB(make, (void)!item_new(&eu));
VERB(destroy, own_cell_destroy(&held.free));
VERB(thread_register, (void)!own_thread_register());
VERB(reclaim, (void)own_reclaim(0));
VERB(barrier, (void)own_barrier());
VERB(map_make, (void)map_new(&item_type, OWN_EXCLUSIVE, 0));
VERB(map_end, own_map_destroy(map));
VERB(map_share, (void)!own_map_share(map, KEY(0), &es));
VERB(map_claim, (void)!own_map_claim(map, KEY(0), &eu));
VERB(map_claim_or_new, int made; (void)!own_map_claim_or_new(map, KEY(9), &eu,
		&made));
VERB(map_put, (void)!own_map_put(map, KEY(9), &held.owned));
VERB(map_remove, (void)!own_map_remove(map, KEY(0)));
VERB(map_remove_held, own_map_remove_held(&held.entry));
VERB(map_take, (void)!own_map_take(map, KEY(0), &eu));
VERB(map_read, struct item c; (void)!own_map_read(map, KEY(0), &c, sizeof(c)));
VERB(map_share_all, (void)!own_map_share_all(map, &es));
VERB(map_claim_all, (void)!own_map_claim_all(map, &eu));
VERB(map_clear, (void)!own_map_clear(&held.entry));
VERB(map_scan, uint64_t c = 0; (void)!own_map_scan(map, &c, 9, visit, NULL));

#define V(name)	{ #name, name }
static const struct child verbs[] = {
	V(share), V(share_try), V(share_timed), V(peek_cell), V(read_cell),
	V(claim), V(claim_try), V(orphan_claim), V(replace), V(swap),
	V(shared_release), V(version_release), V(detached_release),
	V(entry_shared_release), V(unique_release), V(draft_release),
	V(owned_release), V(entry_release), V(unique_commit), V(draft_commit),
	V(clone_held), V(clone_detached), V(detach), V(detach_unique),
	V(make_mine), V(downgrade), V(upgrade), V(make), V(destroy),
	V(thread_register), V(reclaim), V(barrier), V(map_make), V(map_end),
	V(map_share), V(map_claim), V(map_claim_or_new), V(map_put),
	V(map_remove), V(map_remove_held), V(map_take), V(map_read),
	V(map_share_all), V(map_claim_all), V(map_clear), V(map_scan),
};

static void
child_of_threads_is_stopped_at_each_verb(void **state)
{
	(void)state;
	begin_threaded();
	for (unsigned i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		fork_stops(verbs[i].name, verbs[i].run, getpid());
	/* the parent is none the worse for it */
	end_threaded();
}

#ifdef OWN_CHECKED
VERB(get_shared, (void)own_shared_get(&held.s));
VERB(edit_unique, (void)own_unique_edit(&held.u));
#endif

static void
checked_child_is_stopped_at_each_use(void **state)
{
	(void)state;
#ifdef OWN_CHECKED
	begin_threaded();
	fork_stops("get", get_shared, getpid());
	fork_stops("edit", edit_unique, getpid());
	end_threaded();
#else
	skip();
#endif
}

static void *
fork_without_record(void *arg)
{
	(void)arg;
	assert_null(own_i_this);
	fork_stops("claim", claim, getpid());
	return NULL;
}

static void
fork_by_a_thread_without_record(void **state)
{
	pthread_t id;

	(void)state;
	/* the main thread's record is the other one's */
	hold();
	assert_int_equal(pthread_create(&id, NULL, fork_without_record, NULL),
			0);
	assert_int_equal(pthread_join(id, NULL), 0);
	use_up();
}

static pid_t grandparent;

static void
grandchild(void)
{
	struct outcome o;
	char text[64];

	fork_run(claim, &o);
	(void)snprintf(text, sizeof(text), "a fork of process %d,",
			(int)grandparent);
	MUST(WIFSIGNALED(o.status) && strstr(o.text, text));
}

static void
grandchild_is_stopped_too(void **state)
{
	(void)state;
	grandparent = getpid();
	begin_threaded();
	fork_succeeds("grandchild", grandchild);
	end_threaded();
}

/* ---- what the child may do ---- */

static void
look_only(void)
{
	struct own_reclaim_stats stats;

	MUST(own_dump(STDERR_FILENO) == 0);
	own_reclaim_stats(&stats);
	MUST(stats.retired_objects >= stats.freed_objects);
	MUST(own_conflict_last() == NULL);
	MUST(own_map_count(map) == 3);
	MUST(own_setup(0) == -EBUSY);
	MUST(own_set_alloc(NULL) == -EBUSY);
	_exit(7);
}

static void
child_of_threads_may_look(void **state)
{
	struct own_unique u = { 0 };
	struct outcome o;

	(void)state;
	begin_threaded();
	/* a refusal of the parent's is no longer told */
	assert_int_equal(own_cell_claim_try(&held.shared, &u), -EDEADLK);
	fork_run(look_only, &o);
	if (!WIFEXITED(o.status) || WEXITSTATUS(o.status) != 7)
		fail_msg("status %#x: %s", (unsigned)o.status, o.text);
	assert_non_null(strstr(o.text, "libown: handles and waits"));
	/* the handles of the thread that is not here, too */
	assert_non_null(strstr(o.text, "actor.c:1"));
	end_threaded();
}

static void
execs(void)
{
	(void)execl("/proc/self/exe", "child", "from_the_start", (char *)NULL);
}

static void
from_the_start(void)
{
	hold();
	use_up();
}

static void *
end_of_thread(void *arg)
{
	return arg;
}

/*
 * LeakSanitizer asks this at exit: in the child of threads it does not know
 * what those had in their hands.
 */
static int is_child_of_threads;
OWN_API int __lsan_is_turned_off(void);

int
__lsan_is_turned_off(void)
{
	return is_child_of_threads;
}

/* In a process of its own: exit() runs what this one has registered. */
static void
exits(void)
{
	int status;
	pid_t pid;

	begin_threaded();
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		is_child_of_threads = 1;
		exit(0);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	end_threaded();
}

/* The child's only thread ends, and with it the process. */
static void *
forks_and_ends(void *arg)
{
	struct own_shared s = { 0 };
	pid_t *pid = arg;

	MUST(own_cell_share(&held.shared, &s) == 0);
	*pid = fork();
	if (*pid == 0) {
		is_child_of_threads = 1;
		return end_of_thread(NULL);
	}
	own_shared_release(&s);
	return NULL;
}

static void
thread_ends(void)
{
	pthread_t id;
	int status;
	pid_t pid;

	begin_threaded();
	MUST(pthread_create(&id, NULL, forks_and_ends, &pid) == 0);
	MUST(pthread_join(id, NULL) == 0);
	MUST(waitpid(pid, &status, 0) == pid);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	end_threaded();
}

static void
child_of_threads_may_exec_and_exit(void **state)
{
	(void)state;
	begin_threaded();
	fork_succeeds("execs", execs);
	end_threaded();
	child_succeeds("exits", NULL);
	child_succeeds("thread_ends", NULL);
}

/* ---- set-up ---- */

/* Twice forked, then threads, as a daemon is started. */
static void
daemon_main(void)
{
	pid_t pid;
	int status;

	hold();
	for (int i = 0; i < 2; i++) {
		pid = fork();
		MUST(pid >= 0);
		if (pid) {
			MUST(waitpid(pid, &status, 0) == pid);
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 4);
		}
		MUST(setsid() > 0 || i);
	}
	use_up();
	begin_threaded();
	end_threaded();
	_exit(0);
}

static void
daemon_forks_before_its_threads(void **state)
{
	(void)state;
	child_succeeds("daemon_main", NULL);
}

/* ThreadSanitizer has a fork handler of its own, before main. */
#if defined(__GLIBC__) && !defined(OWN__TSAN)
#define ATFORK_FAILS	1
static int atfork_fails;
extern int __register_atfork(void (*prepare)(void), void (*parent)(void),
		void (*child)(void), void *dso);

/* In place of the C library's, for a test that wants it to fail. */
int
pthread_atfork(void (*prepare)(void), void (*parent)(void),
		void (*child)(void))
{
	return atfork_fails ? ENOMEM
		: __register_atfork(prepare, parent, child, NULL);
}

static void
unregistered_fork(void)
{
	struct own_unique u = { 0 };

	atfork_fails = 1;
	assert_int_equal(own_thread_register(), -ENOMEM);
	assert_int_equal(item_new(&u), -ENOMEM);
	assert_null(own_i_records);
	atfork_fails = 0;
	from_the_start();
	begin_threaded();
	fork_stops("claim", claim, getpid());
	end_threaded();
}

#endif

static void
set_up_fails_without_a_fork_handler(void **state)
{
	(void)state;
#ifdef ATFORK_FAILS
	child_succeeds("unregistered_fork", NULL);
#else
	skip();
#endif
}

static const struct child children[] = {
	CHILD(daemon_main),
	CHILD(exits),
	CHILD(from_the_start),
	CHILD(thread_ends),
#ifdef ATFORK_FAILS
	CHILD(unregistered_fork),
#endif
};

static const struct CMUnitTest tests[] = {
	TEST_MAP(child_of_one_thread_goes_on),
	TEST(joined_threads_do_not_count),
	TEST(child_of_threads_is_stopped_at_each_verb),
	TEST(checked_child_is_stopped_at_each_use),
	TEST(fork_by_a_thread_without_record),
	TEST(grandchild_is_stopped_too),
	TEST(child_of_threads_may_look),
	TEST(child_of_threads_may_exec_and_exit),
	TEST(daemon_forks_before_its_threads),
	TEST(set_up_fails_without_a_fork_handler),
};

TESTS_MAIN("fork");
