/* SPDX-License-Identifier: MIT */
/* test_seccomp.c - the system call membarrier refused, at once or later */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/map_support.h"

/* 0, or the error of a kernel or a sandbox that has no filters. */
static int
refuse_membarrier(unsigned error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
				offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
		.len = sizeof(code) / sizeof(code[0]), .filter = code,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
			prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return -errno;
	assert_int_equal(syscall(SYS_membarrier, 0, 0, 0), -1);
	assert_int_equal(errno, (int)error);
	return 0;
}

static struct own_cell cell;

/* A biased cell, read and then claimed beside another thread. */
static void
use_cell(uint32_t policy)
{
	struct own_unique u = { 0 };
	struct own_shared s = { 0 };
	struct actor a;

	item_cell(&cell, policy, 1, NULL);
	actor_start(&a, &cell);
	assert_int_equal(actor_do(&a, act_share), 0);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	assert_int_equal(item_get(&s)->n, 1);
	own_shared_release(&s);
	if (policy == OWN_EXCLUSIVE) {
		assert_int_equal(own_cell_claim_try(&cell, &u), -EBUSY);
		actor_begin(&a, act_release);
		actor_end(&a);
	}
	assert_int_equal(own_cell_claim(&cell, &u), 0);
	item_set(&u, 2);
	own_unique_commit(&u);
	actor_do(&a, act_release);
	assert_int_equal(item_value(&cell), 2);
	actor_stop(&a);
	own_cell_destroy(&cell);
}

static void
use_map(const struct kind *kind)
{
	struct own_unique u = { 0 };

	begin(kind);
	for (unsigned i = 0; i < 60; i++)
		add(map, KEY(i), i);
	assert_int_equal(own_map_claim(map, KEY(1), &u), 0);
	item_set(&u, 100);
	own_unique_commit(&u);
	assert_int_equal(value(map, KEY(1)), 100);
	assert_int_equal(own_map_claim_all(map, &u), 0);
	own_unique_release(&u);
	assert_int_equal(own_map_remove(map, KEY(2)), 0);
	assert_true(is_absent(map, KEY(2)));
	finish_any();
}

static void
use_all(void)
{
	struct own_reclaim_stats stats;

	use_cell(OWN_EXCLUSIVE);
	use_cell(OWN_VERSIONED);
	use_map(&bytes_exclusive);
	use_map(&bytes_versioned);
	use_map(&u64_exclusive);
	use_map(&u64_versioned);
	assert_int_equal(own_barrier(), 0);
	own_reclaim_stats(&stats);
	assert_true(stats.scans > 0);
	/* this is how a program sees that it does without */
	assert_int_equal(stats.membarriers, 0);
	assert_null(own__self);
	assert_true(own_i_fenced);
}

static void
refused_eperm(void)
{
	assert_int_equal(refuse_membarrier(EPERM), 0);
	use_all();
}

static void
refused_enosys(void)
{
	assert_int_equal(refuse_membarrier(ENOSYS), 0);
	use_all();
}

static void
refused_before_the_first_use_is_done_without(void **state)
{
	(void)state;
	child_succeeds("refused_eperm", NULL);
	child_succeeds("refused_enosys", NULL);
}

/* With membarrier so far; the process may forbid itself the call any time. */
static void
begin_biased(unsigned error)
{
	struct own_shared s = { 0 };

	item_cell(&cell, OWN_EXCLUSIVE, 1, NULL);
	assert_int_equal(own_cell_share(&cell, &s), 0);
	own_shared_release(&s);
	if (own_i_fenced)
		_exit(9);
	assert_int_equal(refuse_membarrier(error), 0);
}

static void
claim_after_eperm(void)
{
	struct own_unique u = { 0 };

	begin_biased(EPERM);
	(void)!own_cell_claim(&cell, &u);
}

static void
claim_after_enosys(void)
{
	struct own_unique u = { 0 };

	begin_biased(ENOSYS);
	(void)!own_cell_claim(&cell, &u);
}

static void
scan_after_eperm(void)
{
	struct own_unique u = { 0 };
	struct own_cell versioned;

	item_cell(&versioned, OWN_VERSIONED, 1, NULL);
	begin_biased(EPERM);
	item_make(&u, 2, NULL);
	assert_int_equal(own_cell_replace(&versioned, &u), 0);
	(void)own_barrier();
}

static void
gate_after_eperm(void)
{
	struct own_unique u = { 0 };

	begin(&u64_exclusive);
	begin_biased(EPERM);
	(void)!own_map_claim_all(map, &u);
}

static void
refused_later_stops_the_process(void **state)
{
	static const char *const names[] = {
		"claim_after_eperm", "claim_after_enosys", "scan_after_eperm",
		"gate_after_eperm",
	};
	struct outcome o;

	(void)state;
	child_run(names[0], NULL, &o);
	if (WIFEXITED(o.status) && WEXITSTATUS(o.status) == 9) {
		print_message("membarrier is not in use here\n");
		skip();
	}
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		child_aborts(names[i], "the system call membarrier is refused "
				"since libown began to use it (a seccomp "
				"filter?)", "OWN_MEMBARRIER=off",
				"own_setup(OWN_NO_MEMBARRIER)", NULL);
}

static void
remedy(void)
{
	assert_int_equal(own_thread_register(), 0);
	assert_int_equal(refuse_membarrier(EPERM), 0);
	use_all();
}

static void
remedy_in_the_program(void)
{
	assert_int_equal(own_setup(OWN_NO_MEMBARRIER), 0);
	remedy();
}

static void
remedies_that_the_text_names_work(void **state)
{
	(void)state;
	child_succeeds("remedy", "OWN_MEMBARRIER=off");
	child_succeeds("remedy_in_the_program", NULL);
}

static const struct child children[] = {
	CHILD(claim_after_enosys),
	CHILD(claim_after_eperm),
	CHILD(gate_after_eperm),
	CHILD(refused_enosys),
	CHILD(refused_eperm),
	CHILD(remedy),
	CHILD(remedy_in_the_program),
	CHILD(scan_after_eperm),
};

static const struct CMUnitTest tests[] = {
	TEST(refused_before_the_first_use_is_done_without),
	TEST(refused_later_stops_the_process),
	TEST(remedies_that_the_text_names_work),
};

int
main(int argc, char **argv)
{
	int status = 1;
	pid_t pid = argc < 2 ? fork() : -1;

	if (pid == 0)
		_exit(refuse_membarrier(EPERM) ? 77 : 0);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && status != 0) {
		fprintf(stderr, "not run: no seccomp filters here\n");
		return 77;
	}
	return tests_main(argc, argv, children,
			sizeof(children) / sizeof(children[0]), "seccomp",
			tests, sizeof(tests) / sizeof(tests[0]));
}
