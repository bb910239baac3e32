/* SPDX-License-Identifier: MIT */
/*
 * test_copies.c - copies.c: two copies of the library in one process
 *
 * This program has a copy of its own, as have copy_one.so and copy_two.so;
 * copy_linked.so and copy_linked_too.so use the shared library. Each child
 * puts some of them to use.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
#include "tests/support.h"

/* Where libtool leaves modules: .libs, beside this program or around it. */
static void
plugin_path(const char *name, char *ret, size_t size)
{
	char self[2048];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *end;

	assert_true(n > 0);
	self[n] = '\0';
	end = strrchr(self, '/');
	assert_non_null(end);
	*end = '\0';
	end = strrchr(self, '/');
	(void)snprintf(ret, size, "%s%s/%s.so", self,
			end && strcmp(end, "/.libs") == 0 ? "" : "/.libs",
			name);
}

typedef int (*use_fn)(void);

static use_fn
load(const char *name)
{
	char path[4096];
	void *plugin;
	use_fn ret;

	plugin_path(name, path, sizeof(path));
	plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!plugin) {
		fprintf(stderr, "%s\n", dlerror());
		_exit(3);
	}
	*(void **)&ret = dlsym(plugin, "copy_use");
	return ret ? ret : (_exit(4), ret);
}

static void
use(const char *name)
{
	if (load(name)() != 0)
		_exit(5);
}

static void
use_own(void)
{
	struct own_unique u = { 0 };

	item_make(&u, 1, NULL);
	own_unique_release(&u);
}

static const char text[] = "libown: two copies of the library are in use in "
	"this process, and neither knows the handles of the other: one in ";

/* ---- the second to come into use stops the process ---- */

static void
program_then_plugin(void)
{
	use_own();
	use("copy_one");
}

static void
plugin_then_program(void)
{
	use("copy_one");
	use_own();
}

static void
program_then_linked(void)
{
	use_own();
	use("copy_linked");
}

static void
linked_then_plugin(void)
{
	use("copy_linked");
	use("copy_one");
}

static void
two_plugins(void)
{
	use("copy_one");
	use("copy_two");
}

static void
second_copy_in_use_stops_the_process(void **state)
{
	(void)state;
	child_aborts("program_then_plugin", text, "one in the program /",
			"test_copies, one in /", "/copy_one.so; link", NULL);
	child_aborts("plugin_then_program", text, "/copy_one.so, one in the "
			"program /", "test_copies; link", NULL);
	child_aborts("program_then_linked", text, "one in the program /",
			"/libown", NULL);
	child_aborts("linked_then_plugin", text, "/libown", "/copy_one.so; "
			"link", NULL);
	child_aborts("two_plugins", text, "/copy_one.so, one in /",
			"/copy_two.so; link", NULL);
}

/* ---- at once ---- */

static pthread_barrier_t together;

static void *
use_together(void *arg)
{
	use_fn f = load(arg);

	pthread_barrier_wait(&together);
	if (f() != 0)
		_exit(5);
	return NULL;
}

static void
two_at_once(void)
{
	static char one[] = "copy_one", two[] = "copy_two";
	pthread_t a, b;

	assert_int_equal(pthread_barrier_init(&together, NULL, 2), 0);
	assert_int_equal(pthread_create(&a, NULL, use_together, one), 0);
	assert_int_equal(pthread_create(&b, NULL, use_together, two), 0);
	assert_int_equal(pthread_join(a, NULL), 0);
	assert_int_equal(pthread_join(b, NULL), 0);
}

static void
of_two_first_uses_at_once_one_stops(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++)
		child_aborts("two_at_once", text, "/copy_one.so",
				"/copy_two.so", NULL);
}

/* ---- what is no second copy ---- */

static void
one_reached_twice(void)
{
	use("copy_linked");
	use("copy_linked_too");
	use("copy_linked");
}

static void
one_loaded_twice(void)
{
	use("copy_one");
	use("copy_one");
}

static void
many_loaded(void)
{
	(void)load("copy_one");
	(void)load("copy_linked");
	use("copy_two");
	use("copy_two");
}

static void
copy_that_is_not_used_does_no_harm(void **state)
{
	(void)state;
	child_succeeds("one_reached_twice", NULL);
	child_succeeds("one_loaded_twice", NULL);
	child_succeeds("many_loaded", NULL);
}

static const struct child children[] = {
	CHILD(linked_then_plugin),
	CHILD(many_loaded),
	CHILD(one_loaded_twice),
	CHILD(one_reached_twice),
	CHILD(plugin_then_program),
	CHILD(program_then_linked),
	CHILD(program_then_plugin),
	CHILD(two_at_once),
	CHILD(two_plugins),
};

static const struct CMUnitTest tests[] = {
	TEST(second_copy_in_use_stops_the_process),
	TEST(of_two_first_uses_at_once_one_stops),
	TEST(copy_that_is_not_used_does_no_harm),
};

int
main(int argc, char **argv)
{
	char path[4096];

	plugin_path("copy_one", path, sizeof(path));
	if (access(path, F_OK) != 0) {
		fprintf(stderr, "not run: this build has no shared libraries "
				"(%s)\n", path);
		return 77;
	}
	return tests_main(argc, argv, children,
			sizeof(children) / sizeof(children[0]), "copies",
			tests, sizeof(tests) / sizeof(tests[0]));
}
