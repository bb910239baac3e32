/* SPDX-License-Identifier: MIT */
/*
 * wait.c - futex, clock, the library's own small lock, and slices of waiting
 *
 * Every wait of a verb is a loop of slices: the first lasts a millisecond, and
 * a slice that times out runs the deadlock check. A slice that was woken does
 * not: its verdict could swallow another waiter's wake-up (p. 10, 50).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "handles/internal.h"

#define NSEC_PER_SEC	UINT64_C(1000000000)
#define SLICE_MAX	7		/* doublings of a slice */

#ifdef OWN_MODEL
uint64_t own_i_slice_ns;
unsigned own_i_spins;
#else
uint64_t own_i_slice_ns = 1000000;
unsigned own_i_spins = 40;
#endif

uint64_t
own_now_ns(void)
{
#ifdef OWN_MODEL
	return own_m_now();
#else
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
#endif
}

uint64_t
own_deadline_ns(uint64_t timeout_ns)
{
	uint64_t now = own_now_ns();

	return timeout_ns < UINT64_MAX - 1 - now ? now + timeout_ns
		: UINT64_MAX - 1;
}

int
own_i_futex_wait(const uint32_t *address, uint32_t seen, uint32_t bitset,
		uint64_t deadline_ns)
{
#ifdef OWN_MODEL
	return own_m_futex_wait(address, seen, bitset, deadline_ns);
#else
	struct timespec at = {
		.tv_sec = (time_t)(deadline_ns / NSEC_PER_SEC),
		.tv_nsec = (long)(deadline_ns % NSEC_PER_SEC),
	};
	long r = syscall(SYS_futex, address,
			FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, seen,
			deadline_ns == OWN__FOREVER ? NULL : &at, NULL, bitset);

	return r == 0 ? 0 : -errno;
#endif
}

int
own_i_futex_wake(const uint32_t *address, int n, uint32_t bitset)
{
#ifdef OWN_MODEL
	return own_m_futex_wake(address, n, bitset);
#else
	/* by address only: EFAULT from freed memory is as good as nobody */
	return (int)syscall(SYS_futex, address, FUTEX_WAKE_BITSET |
			FUTEX_PRIVATE_FLAG, n, NULL, NULL, bitset);
#endif
}

void
own_i_spin(void)
{
#ifdef OWN_MODEL
	own_m_pause();
#elif defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb" ::: "memory");
#else
	__asm__ __volatile__("" ::: "memory");
#endif
}

void
own_i_yield(void)
{
#ifdef OWN_MODEL
	own_m_pause();
#else
	(void)sched_yield();
#endif
}

/* 0 free, 1 locked, 2 locked and waited for (Drepper, Futexes Are Tricky). */
void
own_i_lock(uint32_t *lock)
{
	uint32_t seen = 0;

	/* acquire: pairs with own_i_unlock() */
	if (own__cas(lock, &seen, 1, OWN__ACQUIRE))
		return;
	while (own__xchg(lock, 2, OWN__ACQUIRE) != 0)
		(void)own_i_futex_wait(lock, 2, OWN_I_FUTEX_ANY, OWN__FOREVER);
}

void
own_i_unlock(uint32_t *lock)
{
	/* release: pairs with own_i_lock() */
	if (own__xchg(lock, 0, OWN__RELEASE) == 2)
		own_i_futex_wake(lock, 1, OWN_I_FUTEX_ANY);
}

/*
 * D5: the record stands, sequence odd, before the thread first sleeps, and
 * until a slice has ended. A thread that looks again, and may be granted what
 * it waited for, has none.
 */
static void
wait_begin(struct own_i_record *self, uint32_t kind,
		const uint64_t *word, struct own_i_slot s)
{
	struct own_i_wait *wait = &self->wait;
	uint64_t sequence;

	/* relaxed, all: written by this thread alone */
	if (own__load(&wait->sequence, OWN__RELAXED) & 1)
		own_i_wait_erase(self);
	sequence = own__load(&wait->sequence, OWN__RELAXED);
	if (!wait->going || own__load(&wait->kind, OWN__RELAXED) != kind ||
			own__load(&wait->word, OWN__RELAXED) !=
			(uintptr_t)word) {
		wait->going = 1;
		/* own_conflict_last(): what comes of this wait counts from
		 * here on */
		self->refusal.error = 0;
		wait->rounds = 0;
		wait->since_ns = own_i_slice_ns ? own_now_ns() : 0;
		/* relaxed: published by the sequence; for reports */
		own__store(&wait->site, own__load(&s.meta->site, OWN__RELAXED),
				OWN__RELAXED);
		own__store(&wait->container,
				own__load(&s.meta->container, OWN__RELAXED),
				OWN__RELAXED);
		/* D2: release, after the store that ended the wait before */
		own__store(&wait->kind, kind, OWN__RELEASE);
		own__store(&wait->word, (uintptr_t)word, OWN__RELEASE);
	}
	/* D1: pairs with the loads of deadlock.c */
	own__store(&wait->sequence, sequence + 1, OWN__RELEASE);
}

void
own_i_wait_erase(struct own_i_record *self)
{
	struct own_i_wait *wait = &self->wait;

	/* relaxed: written by this thread alone */
	own__store(&wait->sequence,
			own__load(&wait->sequence, OWN__RELAXED) + 1,
			OWN__RELEASE);
}

void
own_i_wait_end(struct own_i_record *self)
{
	self->wait.going = 0;
	/* relaxed: written by this thread alone */
	if (own__load(&self->wait.sequence, OWN__RELAXED) & 1)
		own_i_wait_erase(self);
}

int
own_i_wait(struct own_i_record *self, uint32_t kind,
		const uint64_t *word, struct own_i_slot s,
		const uint32_t *address, uint32_t seen, uint32_t bitset,
		uint64_t deadline_ns)
{
	struct own_i_wait *wait = &self->wait;
	uint64_t slice = OWN__FOREVER;
	int r;

	wait_begin(self, kind, word, s);
	if (own_i_slice_ns) {
		unsigned doublings = wait->rounds < SLICE_MAX ? wait->rounds
			: SLICE_MAX;
		slice = own_now_ns() + (own_i_slice_ns << doublings);
	}
	r = own_i_futex_wait(address, seen, bitset,
			slice < deadline_ns ? slice : deadline_ns);
	if (r == -ETIMEDOUT) {
		wait->rounds++;
		if (own_i_slice_ns && own_i_deadlock_check(self))
			return -EDEADLK;
		/* 1 + 2 + ... + 128 + 6 * 128 ms: about a second, told once */
		if (own_i_slice_ns && wait->rounds == 14)
			own_i_stall_wait(self);
	}
	if (!own__bug(OWN_BUG_WAIT_STAYS))
		own_i_wait_erase(self);
	return 0;
}
