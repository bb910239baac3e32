/* SPDX-License-Identifier: MIT */
/*
 * held.c - what the calling thread holds; own/report.h
 *
 * A thread reads its own slots here, so nothing is ordered. A slot that a verb
 * has taken and made no handle of yet does not count: an event loop may ask
 * from within a copy or a visit.
 */
#include <string.h>

#include "handles/report-internal.h"

#define TELL_AGAIN_NS	UINT64_C(1000000000)

/* Handles that a report lists by name; the others are counted. */
#define NAMED_MAX	OWN_PARTIES_MAX

/* What this thread was last told of: the same handles are told once. */
static __thread struct {
	uint64_t handles;		/* handles_sum(), 0: nothing yet */
	uint64_t at_ns;
} told __attribute__((tls_model("initial-exec")));

/* The slot's how, or 0 in *ret_object. */
static uint64_t
slot_look(struct own_i_block *b, unsigned i, uintptr_t *ret_object)
{
	/* relaxed, both: this thread's own slots */
	uintptr_t object = own__load(&b->s.object[i], OWN__RELAXED);
	uint64_t how = own__load(&b->s.slot[i].how, OWN__RELAXED);

	switch (how & OWN__HOW_KIND) {
	case OWN__HOW_TRYING:
	case OWN__HOW_DRAINING:
		object = 0;
		break;
	case OWN__HOW_HOLD:
		/* a note on its way to another kind */
		if (object & OWN__NOTE)
			object = 0;
		break;
	default:
		break;
	}
	*ret_object = object & ~OWN__NOTE;
	return how;
}

size_t
own_held(struct own_party *parties, size_t parties_max)
{
	struct own_i_record *self = own_i_this;
	size_t n = 0;

	if (!self)
		return 0;
	OWN_I_EACH_BLOCK(b, self)
		for (unsigned i = 0; i < OWN__SLOTS; i++) {
			uintptr_t word;
			uint64_t how = slot_look(b, i, &word);

			if (!word)
				continue;
			if (n < parties_max)
				own_i_party(&parties[n], self, &b->s.slot[i],
						own_i_mode(how), word);
			n++;
		}
	return n;
}

/* Differs for other handles, in all likelihood: sequences never come again. */
static uint64_t
handles_sum(struct own_i_record *self)
{
	uint64_t sum = 0;

	OWN_I_EACH_BLOCK(b, self)
		for (unsigned i = 0; i < OWN__SLOTS; i++) {
			uintptr_t word;
			uint64_t how = slot_look(b, i, &word);

			if (!word)
				continue;
			/* spread, so that sums of neighbours do not meet */
			how = (how ^ how >> 32) * UINT64_C(0x9e3779b97f4a7c15);
			sum += how ^ how >> 29;
		}
	return sum | 1;
}

/* Whether there is something new to tell, and the last time is long ago. */
static int
is_news(struct own_i_record *self)
{
	uint64_t handles = handles_sum(self), now_ns;

	if (handles == told.handles)
		return 0;
	now_ns = own_now_ns();
	if (told.handles && now_ns - told.at_ns < TELL_AGAIN_NS)
		return 0;
	told.handles = handles;
	told.at_ns = now_ns;
	return 1;
}

static void
put_held(struct text *t, struct own_i_record *self, size_t held_n,
		const struct own_site *site)
{
	struct own_party parties[NAMED_MAX];
	size_t named_n = own_held(parties, NAMED_MAX);
	struct own_party thread;

	own_i_party(&thread, self, NULL, NULL, 0);
	put(t, "libown: ");
	put_thread(t, &thread);
	put(t, " is about to wait");
	put_site(t, site);
	put(t, "; it still holds ");
	put_number(t, held_n);
	put(t, held_n == 1 ? " handle: " : " handles: ");
	if (named_n > NAMED_MAX)
		named_n = NAMED_MAX;
	for (size_t i = 0; i < named_n; i++) {
		put(t, i ? "; " : "");
		put_handle(t, &parties[i]);
	}
	if (held_n > named_n) {
		put(t, "; and ");
		put_number(t, held_n - named_n);
		put(t, " more");
	}
}

int
own_idle_check_at(enum own_idle what, const struct own_site *site)
{
	char buffer[2048];
	struct text t = { .at = buffer, .room = sizeof(buffer) };
	struct own_i_record *self = own_i_this;
	size_t n = own_held(NULL, 0);

	if (what != OWN_IDLE_OFF && what != OWN_IDLE_REPORT &&
			what != OWN_IDLE_STOP)
		return -EINVAL;
	if (n == 0 || what == OWN_IDLE_OFF ||
			(what == OWN_IDLE_REPORT && !is_news(self)))
		return (int)n;
	put_held(&t, self, n, site);
	if (what == OWN_IDLE_STOP)
		own_i_fault_text(&t);
	(void)put_end(&t);
	own_i_stall(buffer);
	return (int)n;
}
