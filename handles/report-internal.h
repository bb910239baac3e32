/* SPDX-License-Identifier: MIT */
/*
 * report-internal.h - text of reports, for report.c and held.c
 *
 * Made in a buffer of the caller's, without stdio: reports are written from
 * signal handlers and from faults.
 */
#ifndef OWN_REPORT_INTERNAL_H
#define OWN_REPORT_INTERNAL_H

#include "handles/internal.h"

struct text {
	char *at;
	size_t room;
	size_t length;		/* of the text without a limit */
};

static inline void
put(struct text *t, const char *s)
{
	for (; *s; s++, t->length++)
		if (t->length + 1 < t->room)
			t->at[t->length] = *s;
	if (t->room)
		t->at[t->length < t->room ? t->length : t->room - 1] = '\0';
}

static inline void
put_number(struct text *t, uint64_t v)
{
	char digits[21];
	unsigned i = sizeof(digits) - 1;

	digits[i] = '\0';
	do
		digits[--i] = (char)('0' + v % 10);
	while ((v /= 10) != 0);
	put(t, digits + i);
}

static inline void
put_address(struct text *t, uintptr_t v)
{
	char digits[19];
	unsigned i = sizeof(digits) - 1;

	digits[i] = '\0';
	do
		digits[--i] = "0123456789abcdef"[v & 15];
	while ((v >>= 4) != 0);
	digits[--i] = 'x';
	digits[--i] = '0';
	put(t, digits + i);
}

static inline void
put_site(struct text *t, const struct own_site *site)
{
	if (!site)
		return;
	put(t, " at ");
	put(t, site->file);
	put(t, ":");
	put_number(t, site->line);
}

static inline void
put_thread(struct text *t, const struct own_party *party)
{
	put(t, "thread ");
	put_number(t, (uint64_t)(uint32_t)party->tid);
	if (party->thread[0]) {
		put(t, " (");
		put(t, party->thread);
		put(t, ")");
	}
}

/* Mode, object and place of one handle. */
static inline void
put_handle(struct text *t, const struct own_party *party)
{
	put(t, party->mode);
	put(t, ", ");
	put(t, party->object ? party->object : "object");
	put(t, " ");
	put_address(t, (uintptr_t)party->address);
	if (party->key[0]) {
		put(t, " of key ");
		put(t, party->key);
	}
	if (party->container) {
		put(t, " in ");
		put(t, party->container);
	}
	put_site(t, party->site);
}

static inline void
put_party(struct text *t, const struct own_party *party)
{
	put_thread(t, party);
	put(t, ", ");
	put_handle(t, party);
	if (party->waits_at) {
		put(t, ", waits");
		put_site(t, party->waits_at);
	}
}

/* The newline at the end, of a text that was cut as well; its length. */
static inline size_t
put_end(struct text *t)
{
	put(t, "\n");
	if (t->length < t->room)
		return t->length;
	t->at[t->room - 2] = '\n';
	return t->room - 1;
}

/* Ends the text and the process. */
OWN__NORETURN void own_i_fault_text(struct text *t);

#endif
