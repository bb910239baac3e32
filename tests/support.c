/* SPDX-License-Identifier: MIT */
/* support.c - contract in support.h */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/support.h"

uint32_t policy_exclusive = OWN_EXCLUSIVE;
uint32_t policy_versioned = OWN_VERSIONED;

void
item_fini(void *payload, size_t size_bytes)
{
	struct item *item = payload;

	(void)size_bytes;
	if (item->ended)
		/* relaxed: a count, read after joins and semaphores */
		(void)own__add(item->ended, 1, OWN__RELAXED);
}

/* ---- actors ---- */

static void
wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore) != 0)
		assert_int_equal(errno, EINTR);
}

static void *
actor_main(void *arg)
{
	struct actor *a = arg;

	assert_int_equal(own_thread_register(), 0);
	a->record = own_i_this;
	for (;;) {
		sem_post(&a->done);
		wait_for(&a->go);
		if (!a->verb)
			return NULL;
		a->r = a->verb(a);
	}
}

void
actor_start(struct actor *a, struct own_cell *cell)
{
	static const struct own_site site = { "actor.c", 1 };

	memset(a, 0, sizeof(*a));
	a->cell = cell;
	a->site = &site;
	assert_int_equal(sem_init(&a->go, 0, 0), 0);
	assert_int_equal(sem_init(&a->done, 0, 0), 0);
	assert_int_equal(pthread_create(&a->id, NULL, actor_main, a), 0);
	wait_for(&a->done);
}

void
actor_begin(struct actor *a, int (*verb)(struct actor *))
{
	a->verb = verb;
	sem_post(&a->go);
}

int
actor_end(struct actor *a)
{
	wait_for(&a->done);
	return a->r;
}

int
actor_do(struct actor *a, int (*verb)(struct actor *))
{
	actor_begin(a, verb);
	return actor_end(a);
}

static int
act_set(struct actor *a)
{
	struct item *item = own_unique_edit(&a->u);

	item->n = item->twin = a->n;
	return 0;
}

void
actor_set(struct actor *a, uint64_t n)
{
	a->n = n;
	actor_do(a, act_set);
}

void
actor_await(struct actor *a)
{
	/* acquire: pairs with wait_begin() */
	while (!(own__load(&a->record->wait.sequence, OWN__ACQUIRE) & 1))
		sched_yield();
}

void
actor_stop(struct actor *a)
{
	actor_begin(a, NULL);
	assert_int_equal(pthread_join(a->id, NULL), 0);
	sem_destroy(&a->go);
	sem_destroy(&a->done);
}

int
act_share(struct actor *a)
{
	return own_cell_share_at(a->cell, &a->s, a->site);
}

int
act_share_try(struct actor *a)
{
	return own_cell_share_try_at(a->cell, &a->s, a->site);
}

int
act_share_timed(struct actor *a)
{
	return own_cell_share_timed_at(a->cell, a->deadline_ns, &a->s, a->site);
}

int
act_claim(struct actor *a)
{
	return own_cell_claim_at(a->cell, &a->u, a->site);
}

int
act_claim_try(struct actor *a)
{
	return own_cell_claim_try_at(a->cell, &a->u, a->site);
}

int
act_claim_timed(struct actor *a)
{
	return own_cell_claim_timed_at(a->cell, a->deadline_ns, &a->u, a->site);
}

int
act_clone(struct actor *a)
{
	return own_shared_clone_at(&a->s, &a->more, a->site);
}

int
act_release(struct actor *a)
{
	own_shared_release(&a->s);
	own_shared_release(&a->more);
	own_unique_release(&a->u);
	return 0;
}

int
act_commit(struct actor *a)
{
	own_unique_commit(&a->u);
	return 0;
}

int
act_downgrade(struct actor *a)
{
	own_unique_downgrade_at(&a->u, &a->s, a->site);
	return 0;
}

int
act_upgrade_try(struct actor *a)
{
	return own_shared_upgrade_try_at(&a->s, &a->u, a->site);
}

int
act_detach(struct actor *a)
{
	return own_shared_detach(&a->s);
}

int
act_replace(struct actor *a)
{
	return own_cell_replace_at(a->cell, &a->u, a->site);
}

int
act_swap(struct actor *a)
{
	return own_cell_swap_at(a->cell, &a->u, a->site);
}

void
await_flag(const uint32_t *flag)
{
	/* acquire: pairs with raise_flag() */
	while (!own__load(flag, OWN__ACQUIRE))
		sched_yield();
}

void
raise_flag(uint32_t *flag)
{
	/* release: pairs with await_flag() */
	own__store(flag, 1, OWN__RELEASE);
}

void
pass_time(uint64_t ns)
{
	uint64_t until_ns = own_deadline_ns(ns);

	while (own_now_ns() < until_ns)
		sched_yield();
}

/* ---- children ---- */

static void
read_all(int fd, char *text, size_t size)
{
	size_t length = 0;
	char rest[512];

	for (;;) {
		int full = length + 1 == size;
		ssize_t n = full ? read(fd, rest, sizeof(rest))
			: read(fd, text + length, size - 1 - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (!full)
			length += (size_t)n;
	}
	text[length] = '\0';
}

void
child_fork(void (*run)(const void *arg), const void *arg, struct outcome *ret)
{
	static const struct rlimit no_core = { 0, 0 };
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)dup2(ends[1], STDERR_FILENO);
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)close(ends[0]);
		(void)close(ends[1]);
		/* not cmocka's, which prints and goes on */
		(void)signal(SIGABRT, SIG_DFL);
		run(arg);
		_exit(0);
	}
	(void)close(ends[1]);
	read_all(ends[0], ret->text, sizeof(ret->text));
	(void)close(ends[0]);
	while (waitpid(pid, &ret->status, 0) != pid)
		assert_int_equal(errno, EINTR);
}

struct again {
	const char *name, *setting;
};

static void
run_again(const void *arg)
{
	const struct again *again = arg;

	if (again->setting)
		(void)putenv((char *)(uintptr_t)again->setting);
	(void)execl("/proc/self/exe", "child", again->name, (char *)NULL);
	_exit(127);
}

void
child_run(const char *name, const char *setting, struct outcome *ret)
{
	struct again again = { name, setting };

	child_fork(run_again, &again, ret);
}

int
child_aborted(const struct outcome *o)
{
	return WIFSIGNALED(o->status) && WTERMSIG(o->status) == SIGABRT;
}

void
child_succeeds(const char *name, const char *setting)
{
	struct outcome o;

	child_run(name, setting, &o);
	if (!WIFEXITED(o.status) || WEXITSTATUS(o.status) != 0)
		fail_msg("%s: status %#x: %s", name, (unsigned)o.status,
				o.text);
}

void
child_aborts(const char *name, ...)
{
	struct outcome o;
	const char *part;
	va_list parts;

	child_run(name, NULL, &o);
	if (!child_aborted(&o))
		fail_msg("%s: status %#x, not an abort: %s", name,
				(unsigned)o.status, o.text);
	va_start(parts, name);
	while ((part = va_arg(parts, const char *)) != NULL)
		if (!strstr(o.text, part))
			fail_msg("%s: no \"%s\" in: %s", name, part, o.text);
	va_end(parts);
}

int
tests_main(int argc, char **argv, const struct child *children,
		size_t children_n, const char *group,
		const struct CMUnitTest *tests, size_t tests_n)
{
	if (argc < 2)
		return _cmocka_run_group_tests(group, tests, tests_n, NULL,
				NULL);
	for (size_t i = 0; i < children_n; i++)
		if (strcmp(children[i].name, argv[1]) == 0) {
			children[i].run();
			return 0;
		}
	fprintf(stderr, "%s: no child %s\n", group, argv[1]);
	return 2;
}
