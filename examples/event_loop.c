/* SPDX-License-Identifier: MIT */
/*
 * event_loop.c - a loop that must not block takes what other threads hold
 *
 * A worker holds an account for 10 ms at a time. The loop serves a timer every
 * 5 ms and books a sum whenever a note says that it is worth a try. It never
 * waits for the account, and never asks in vain but where it is told so.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <own/own.h>

#define BOOKINGS	20

struct account {
	long balance;
};
OWN_TYPE(account, struct account);

static struct own_cell account = OWN_CELL_INIT(&account_type, OWN_EXCLUSIVE,
		"account");

static void *
worker(void *arg)
{
	const struct timespec pause = { 0, 10000000 };
	struct own_unique u = { 0 };

	for (int i = 0; i < BOOKINGS; i++) {
		if (own_cell_claim(&account, &u))
			return arg;
		account_edit(&u)->balance++;
		(void)nanosleep(&pause, NULL);
		own_unique_commit(&u);
		(void)nanosleep(&pause, NULL);
	}
	return NULL;
}

/* Books a sum if that can be done now; -EBUSY: the note will say when. */
static int
book(struct own_when *when)
{
	struct own_unique u = { 0 };
	int r = own_cell_claim_when(&account, when, &u);

	if (r)
		return r;
	account_edit(&u)->balance += 100;
	own_unique_commit(&u);
	return 0;
}

static int
open_account(void)
{
	struct own_unique u = { 0 };
	int r = account_new(&u);

	if (r)
		return r;
	r = own_cell_replace(&account, &u);
	if (r)
		own_unique_release(&u);
	return r;
}

int
main(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct own_when when = OWN_WHEN_EVENTFD(fd);
	struct pollfd poll_fd = { fd, POLLIN, 0 };
	unsigned booked = 0, refused = 0, ticks = 0, waits = 0;
	pthread_t id;
	uint64_t n;
	int r;

	if (fd < 0 || open_account() ||
			pthread_create(&id, NULL, worker, NULL))
		return 1;
	while (booked < BOOKINGS) {
		if (!waits) {
			r = book(&when);
			if (r && r != -EBUSY) {
				fprintf(stderr, "book: %s\n", strerror(-r));
				return 1;
			}
			waits = r == -EBUSY;
			refused += waits;
			booked += !waits;
		}
		if (own_idle_check(OWN_IDLE_REPORT))
			return 1;
		if (poll(&poll_fd, 1, 5) == 0)
			ticks++;		/* what else a loop does */
		else if (read(fd, &n, sizeof(n)) == sizeof(n))
			waits = 0;
	}
	(void)pthread_join(id, NULL);
	printf("booked %u times, refused %u times, %s meanwhile\n", booked,
			refused, ticks ? "the timer went on" : "no timer");
	own_cell_destroy(&account);
	(void)close(fd);
	return ticks == 0;
}
