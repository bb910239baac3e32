/* SPDX-License-Identifier: MIT */
/*
 * stuck.c - a server whose threads wait for one another, explained while it
 * hangs: SIGUSR1 makes the handler call own_dump(), which is async-signal-safe
 *
 * Nobody is in a deadlock here: one thread keeps a handle and sleeps. Such a
 * wait never ends by itself, and no detector may break it.
 */
#include <own/own.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct session {
	int requests;
};

OWN_TYPE(session, struct session);

static struct own_cell sessions = OWN_CELL_INIT(&session_type, OWN_EXCLUSIVE,
		"sessions");
static pthread_barrier_t held, done;
static int failed;		/* its address is a thread's bad result */

static void
on_signal(int number)
{
	(void)number;
	(void)own_dump(STDOUT_FILENO);
}

static void *
worker(void *arg)
{
	struct own_shared seen = { 0 };
	int r = own_cell_share(&sessions, &seen);

	(void)arg;
	(void)pthread_barrier_wait(&held);
	(void)pthread_barrier_wait(&done);	/* "a slow client" */
	if (r)
		return &failed;
	own_shared_release(&seen);
	return NULL;
}

static void *
updater(void *arg)
{
	struct own_unique u = { 0 };
	int r;

	(void)arg;
	r = own_cell_claim(&sessions, &u);	/* waits for the worker */
	if (r)
		return &failed;
	session_edit(&u)->requests++;
	own_unique_release(&u);
	return NULL;
}

/* Whether somebody waits already: the main thread looks, as a person would. */
static int
somebody_waits(void)
{
	char text[4096];
	int ends[2];
	ssize_t n;

	if (pipe(ends) != 0)
		return 1;
	(void)own_dump(ends[1]);
	(void)close(ends[1]);
	n = read(ends[0], text, sizeof(text) - 1);
	(void)close(ends[0]);
	text[n > 0 ? n : 0] = '\0';
	return strstr(text, "waits for") != NULL;
}

int
main(void)
{
	struct own_unique u = { 0 };
	pthread_t slow, waiting;
	void *result[2];
	int r = session_new(&u);

	if (r)
		return 1;
	r = own_cell_replace(&sessions, &u);
	if (r) {
		own_unique_release(&u);
		return 1;
	}
	if (pthread_barrier_init(&held, NULL, 2) ||
			pthread_barrier_init(&done, NULL, 2))
		return 1;
	(void)signal(SIGUSR1, on_signal);
	if (pthread_create(&slow, NULL, worker, NULL))
		return 1;
	(void)pthread_barrier_wait(&held);
	if (pthread_create(&waiting, NULL, updater, NULL))
		return 1;
	while (!somebody_waits())
		(void)usleep(1000);
	(void)raise(SIGUSR1);
	(void)pthread_barrier_wait(&done);
	(void)pthread_join(slow, &result[0]);
	(void)pthread_join(waiting, &result[1]);
	own_cell_destroy(&sessions);
	return result[0] || result[1];
}
