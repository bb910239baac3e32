/* SPDX-License-Identifier: MIT */
/*
 * report.c - explaining refusals, dumps, stalls, faults; own/report.h
 *
 * Slots name words and containers of other threads, which may be gone by the
 * time they are looked at. Records are type-stable and read directly; anything
 * that a slot points to is read through the kernel (process_vm_readv on this
 * process), which answers EFAULT instead of a fault, and is believed only if
 * the slot's sequence is unchanged afterwards: a container cannot go while a
 * handle of it stands. Nothing here allocates, locks or uses stdio.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "handles/report-internal.h"

/* ---- looking at what may be gone ---- */

/* Copies memory that may be unmapped; 0 if it could not be read. */
static int
read_memory(void *to, uintptr_t from, size_t size)
{
	struct iovec local = { .iov_base = to, .iov_len = size };
	struct iovec remote = { .iov_base = (void *)from, .iov_len = size };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) ==
		(ssize_t)size;
}

static const char *
readable(const char *s)
{
	char c;

	return s && read_memory(&c, (uintptr_t)s, 1) ? s : NULL;
}

const char *
own_i_mode(uint64_t how)
{
	switch (how & OWN__HOW_KIND) {
	case OWN__HOW_HOLD:
		return "shared";
	case OWN__HOW_COUNTED:
		return "shared (counted)";
	case OWN__HOW_TRYING:
		return "asking";
	case OWN__HOW_DRAINING:
		return "unique, waiting for readers";
	case OWN__HOW_UNIQUE:
		return "unique";
	case OWN__HOW_GATED:
		return "unique";
	case OWN__HOW_MADE:
		return "unique (new)";
	case OWN__HOW_WHOLE:
		return "the whole";
	case OWN__HOW_DRAFT:
		return "unique (draft)";
	default:
		return "unknown";
	}
}

/* The key of an entry as text: what is not printable as a point. */
static void
party_key(struct own_party *ret, uintptr_t word, const struct own_type *type)
{
	struct { struct own_i_prefix prefix; struct own__header header; } e;
	struct text t = { .at = ret->key, .room = sizeof(ret->key) };
	size_t size = type->size, n;

	if (!read_memory(&e, word - sizeof(e.prefix), sizeof(e)) ||
			!(own_i_object_flags(&e.header) & OWN_I_ENTRY))
		return;
	if (own_i_object_flags(&e.header) & OWN_I_NUMBER) {
		put_number(&t, e.prefix.key);
		return;
	}
	if ((type->flags & OWN_SIZED) && !read_memory(&size, word -
			sizeof(e.prefix) - 16, sizeof(size)))
		return;
	n = e.prefix.key < sizeof(ret->key) - 1 ? e.prefix.key
		: sizeof(ret->key) - 1;
	if (!read_memory(ret->key, word + sizeof(e.header) + size, n))
		n = 0;
	for (size_t i = 0; i < n; i++)
		if (ret->key[i] < ' ' || ret->key[i] > '~')
			ret->key[i] = '.';
	ret->key[n] = '\0';
}

static void
party_of_map(struct own_party *ret, uintptr_t container, uintptr_t word)
{
	uint64_t *gate = OWN_I_GATE(container);
	struct own_i_whole whole;
	struct own_type type;

	if (!read_memory(&whole, (uintptr_t)gate, sizeof(whole)) ||
			whole.state != OWN__CELL_LIVE)
		return;
	ret->container = readable(whole.name);
	if (!ret->container)
		ret->container = "a map";
	if (word == (uintptr_t)gate) {
		ret->object = container & OWN_I_X ? "map, unique" :
			container & OWN_I_S ? "map, shared" : "map";
		return;
	}
	if (!read_memory(&type, (uintptr_t)whole.type, sizeof(type)))
		return;
	ret->object = readable(type.name);
	party_key(ret, word, &type);
}

/* slot may be NULL: then only the thread is known. */
void
own_i_party(struct own_party *ret, const struct own_i_record *record,
		const struct own__slot *slot, const char *mode, uintptr_t word)
{
	struct own_cell cell;
	struct own_type type;
	uintptr_t container;
	uint64_t how;

	memset(ret, 0, sizeof(*ret));
	/* relaxed, here and below: a report of what another thread does */
	ret->tid = own__load(&record->tid, OWN__RELAXED);
	memcpy(ret->thread, record->name, sizeof(ret->thread));
	ret->mode = mode;
	ret->address = (const void *)word;
	/* acquire: pairs with wait_begin() */
	if (own__load(&record->wait.sequence, OWN__ACQUIRE) & 1)
		ret->waits_at = own__load(&record->wait.site, OWN__RELAXED);
	if (!slot)
		return;
	how = own__load(&slot->how, OWN__ACQUIRE);
	ret->site = own__load(&slot->site, OWN__RELAXED);
	container = own__load(&slot->container, OWN__RELAXED);
	if (container & OWN_I_MAP) {
		party_of_map(ret, container, word);
		if (own__load(&slot->how, OWN__ACQUIRE) != how) {
			ret->container = ret->object = NULL;
			ret->key[0] = '\0';
		}
		return;
	}
	if (!container || !read_memory(&cell, container, sizeof(cell)) ||
			own__load(&slot->how, OWN__ACQUIRE) != how ||
			cell.state != OWN__CELL_LIVE)
		return;
	ret->container = readable(cell.name);
	if (read_memory(&type, (uintptr_t)cell.type, sizeof(type)))
		ret->object = readable(type.name);
}

/* ---- refusals ---- */

int
own_i_refuse(struct own_i_record *self, struct own_i_slot s,
		const uint64_t *word, const char *mode, int error)
{
	struct own_i_refusal *refusal = &self->refusal;

	/* relaxed: this thread's own slot */
	*refusal = (struct own_i_refusal) {
		.word = (uintptr_t)word,
		.container = own__load(&s.meta->container, OWN__RELAXED),
		.mode = mode,
		.site = own__load(&s.meta->site, OWN__RELAXED),
		.error = error,
		.open = 1,
	};
	/* -EBUSY stays open until somebody asks: _try must stay cheap */
	if (error == -ETIMEDOUT || error == -EDEADLK)
		(void)own_conflict_last();
	return error;
}

int
own_i_refuse_gate(struct own_i_record *self, struct own_i_slot s,
		uintptr_t modes, const char *mode, int error)
{
	uintptr_t container = own_i_slot_container(s);

	self->refusal = (struct own_i_refusal) {
		.word = (uintptr_t)OWN_I_GATE(container),
		.container = container, .mode = mode, .modes = (unsigned)modes,
		/* relaxed: this thread's own slot */
		.site = own__load(&s.meta->site, OWN__RELAXED),
		.error = error, .open = 1,
	};
	if (error == -ETIMEDOUT || error == -EDEADLK)
		(void)own_conflict_last();
	return error;
}

/* Whether a slot is on the other side of a refusal. */
static int
refuses(const struct own_i_refusal *refusal, uintptr_t object,
		const struct own__slot *slot)
{
	/* acquire: pairs with own_i_slot_take() */
	uintptr_t container = own__load(&slot->container, OWN__ACQUIRE);

	if (refusal->modes)
		return object && own_i_has_mode(container,
				(const uint64_t *)refusal->word,
				refusal->modes);
	return (object & ~OWN__NOTE) == refusal->word;
}

static void
conflict_add(struct own_conflict *conflict, const struct own_i_record *record,
		const struct own__slot *slot, uintptr_t word)
{
	if (conflict->parties_n == OWN_PARTIES_MAX) {
		conflict->more_n++;
		return;
	}
	own_i_party(&conflict->parties[conflict->parties_n++], record, slot,
			own_i_mode(own__load(&slot->how, OWN__ACQUIRE)), word);
}

const struct own_conflict *
own_conflict_last(void)
{
	struct own_i_record *self = own_i_this;
	struct own_i_refusal *refusal;
	struct own_conflict *conflict;
	struct own__slot caller;

	if (!self || self->refusal.error == 0)
		return NULL;
	refusal = &self->refusal;
	conflict = &self->conflict;
	if (!refusal->open)
		return conflict;
	refusal->open = 0;
	memset(conflict, 0, sizeof(*conflict));
	conflict->error = refusal->error;
	/* the caller's slot has gone back: what it was is in the refusal */
	memset(&caller, 0, sizeof(caller));
	caller.site = refusal->site;
	caller.container = refusal->container;
	own_i_party(&conflict->parties[0], self, &caller, refusal->mode,
			refusal->word);
	conflict->parties_n = 1;
	OWN_I_EACH_RECORD(record)
		OWN_I_EACH_BLOCK(b, record)
			for (unsigned i = 0; i < OWN__SLOTS; i++) {
				struct own__slot *slot = &b->s.slot[i];
				uint64_t how = own__load(&slot->how,
						OWN__ACQUIRE);

				uintptr_t object = own__load(&b->s.object[i],
						OWN__ACQUIRE);

				if (!refuses(refusal, object, slot) ||
				    (how & OWN__HOW_KIND) == OWN__HOW_TRYING)
					continue;
				conflict_add(conflict, record, slot,
						object & ~OWN__NOTE);
			}
	return conflict;
}

static const char *
error_name(int error)
{
	switch (error) {
	case -EBUSY:
		return "-EBUSY";
	case -ETIMEDOUT:
		return "-ETIMEDOUT";
	case -EDEADLK:
		return "-EDEADLK";
	case -EOWNERDEAD:
		return "-EOWNERDEAD";
	default:
		return "refused";
	}
}

size_t
own_conflict_text(const struct own_conflict *conflict, char *buffer,
		size_t size_bytes)
{
	struct text t = { .at = buffer, .room = size_bytes };

	put(&t, error_name(conflict->error));
	for (uint32_t i = 0; i < conflict->parties_n; i++) {
		put(&t, i == 0 ? ": " : conflict->error == -EDEADLK ?
				" -> " : i == 1 ? "; held by " : ", ");
		put_party(&t, &conflict->parties[i]);
	}
	if (conflict->parties_n == 1)
		put(&t, "; held by nobody any more");
	if (conflict->more_n) {
		put(&t, ", and ");
		put_number(&t, conflict->more_n);
		put(&t, " more");
	}
	return t.length;
}

/* ---- own_dump ---- */

static int
write_all(int fd, const char *buffer, size_t length)
{
	while (length > 0) {
		ssize_t n = write(fd, buffer, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buffer += n;
		length -= (size_t)n;
	}
	return 0;
}

static int
dump_line(int fd, struct text *t)
{
	return write_all(fd, t->at, put_end(t));
}

static const char *
waits_for(uint32_t kind)
{
	switch (kind & 0xff) {
	case OWN_I_WAIT_DRAIN:
		return " waits for the readers of ";
	case OWN_I_WAIT_GATE:
		return " waits at the gate of the whole ";
	default:
		return " waits for the writer of ";
	}
}

static void
put_age(struct text *t, uint64_t age_ns)
{
	uint64_t ms = age_ns / 1000000;

	put_number(t, ms / 1000);
	put(t, ms % 1000 < 10 ? ".00" : ms % 1000 < 100 ? ".0" : ".");
	put_number(t, ms % 1000);
	put(t, " s ago");
}

/* What it is, its age, who holds it: behind "the oldest". */
static void
put_pending(struct text *t, const struct own_pending *pending)
{
	const struct own_party *holder = &pending->holder;

	if (holder->object) {
		put(t, ", a ");
		put(t, holder->object);
	}
	if (pending->bytes) {
		put(t, " of ");
		put_number(t, pending->bytes);
		put(t, " bytes");
	}
	put(t, ", retired ");
	put_age(t, pending->age_ns);
	if (pending->is_held) {
		put(t, ", is held by ");
		if (holder->tid)
			put_party(t, holder);
		else
			put(t, "a detached handle");
	} else {
		put(t, ", is held by nobody and waits for ");
		if (!holder->tid)
			put(t, "own_reclaim()");
		else
			put_thread(t, holder);
	}
}

#define DUMP_PENDING	4u

/* What is retired and not freed. Last: its headers may be what is broken. */
static int
dump_pending(int fd)
{
	char buffer[512];
	struct own_pending oldest[DUMP_PENDING];
	size_t n = own_reclaim_oldest(oldest, DUMP_PENDING);
	int r = 0;

	for (size_t i = 0; i < n && !r; i++) {
		struct text t = { .at = buffer, .room = sizeof(buffer) };

		put(&t, i ? "libown:   retired, the next"
				: "libown: retired, the oldest");
		put_pending(&t, &oldest[i]);
		r = dump_line(fd, &t);
	}
	return r;
}

static int
dump_record(int fd, struct own_i_record *record)
{
	char buffer[512];
	struct own_party party;
	int r = 0;

	OWN_I_EACH_BLOCK(b, record)
		for (unsigned i = 0; i < OWN__SLOTS && !r; i++) {
			struct text t = { .at = buffer, .room = 512 };
			uintptr_t object = own__load(&b->s.object[i],
					OWN__ACQUIRE);
			uint64_t how = own__load(&b->s.slot[i].how,
					OWN__ACQUIRE);

			if (!object)
				continue;
			own_i_party(&party, record, &b->s.slot[i],
					own_i_mode(how), object & ~OWN__NOTE);
			put(&t, "libown:   ");
			put_party(&t, &party);
			put(&t, ", sequence ");
			put_number(&t, how >> 36);
			r = dump_line(fd, &t);
		}
	/* relaxed: a report of what another thread does */
	if (!r && (own__load(&record->wait.sequence, OWN__ACQUIRE) & 1)) {
		struct text t = { .at = buffer, .room = 512 };

		put(&t, "libown:   thread ");
		put_number(&t, (uint32_t)own__load(&record->tid,
				OWN__RELAXED));
		put(&t, waits_for(own__load(&record->wait.kind,
				OWN__RELAXED)));
		put_address(&t, own__load(&record->wait.word, OWN__RELAXED));
		put_site(&t, own__load(&record->wait.site, OWN__RELAXED));
		r = dump_line(fd, &t);
	}
	return r;
}

static int
dump_note(const struct own_when *when, void *arg)
{
	char buffer[512];
	struct text t = { .at = buffer, .room = sizeof(buffer) };
	size_t length;

	put(&t, "libown:   a note is armed for the cell or map ");
	put_address(&t, (uintptr_t)when->container);
	put_site(&t, when->site);
	length = put_end(&t);
	return write_all(*(const int *)arg, buffer, length);
}

int
own_dump(int fd)
{
	static const char head[] = "libown: handles and waits\n";
	int saved = errno;
	int r = write_all(fd, head, sizeof(head) - 1);

	OWN_I_EACH_RECORD(record)
		/* relaxed: a report of what another thread does */
		if (!r && own__load(&record->used, OWN__RELAXED))
			r = dump_record(fd, record);
	if (!r)
		r = own_i_when_each(dump_note, &fd);
	if (!r)
		r = dump_pending(fd);
	errno = saved;
	return r;
}

/* ---- faults and stalls ---- */

void
own_i_fault_text(struct text *t)
{
	size_t length = put_end(t);

#ifdef OWN_MODEL
	(void)length;
	own_m_fail(t->at);
#else
	(void)write_all(STDERR_FILENO, t->at, length);
	abort();
#endif
}

void
own__fault(const char *what, const struct own_site *site)
{
	char buffer[512];
	struct text t = { .at = buffer, .room = sizeof(buffer) };

	put(&t, "libown: ");
	put(&t, what);
	put_site(&t, site);
	own_i_fault_text(&t);
}

/*
 * Misuse of a handle: says where it was taken, if its slot still has it, else
 * who has the slot.
 */
void
own__fault_handle(const char *verb, const char *what, uint64_t how,
		const struct own_site *site)
{
	char buffer[512];
	struct text t = { .at = buffer, .room = sizeof(buffer) };
	uint64_t kind = how & OWN__HOW_KIND;
	uint32_t n = how & OWN__HOW_SLOT, id = (how >> 16) & 0xfffff;
	struct own_party party;

	put(&t, "libown: ");
	put(&t, verb);
	put(&t, what);
	put_site(&t, site);
	if (OWN_I_KIND(kind) & OWN_I_SLOTLESS) {
		put(&t, kind == OWN__HOW_OWNED ? "; it is owned"
				: kind == OWN__HOW_PUBLISHED
				? "; it is published" : "; it is detached");
		own_i_fault_text(&t);
	}
	OWN_I_EACH_RECORD(record) {
		if (record->id != id)
			continue;
		OWN_I_EACH_BLOCK(b, record) {
			struct own__slot *slot = &b->s.slot[n % OWN__SLOTS];
			uintptr_t object = own__load(&b->s.object[n %
					OWN__SLOTS], OWN__ACQUIRE);

			if (b->first != n / OWN__SLOTS * OWN__SLOTS)
				continue;
			own_i_party(&party, record, slot, own_i_mode(how),
					object & ~OWN__NOTE);
			put(&t, object && own__load(&slot->how,
					OWN__ACQUIRE) == how
				? "; it was taken by "
				: "; it is over, its slot was last used by ");
			put_party(&t, &party);
		}
	}
	own_i_fault_text(&t);
}

/* Misuse with two sides: slot, of holder, is the other one; it may be NULL. */
void
own_i_fault_held(const char *what, struct own_i_record *holder,
		const struct own__slot *slot, uintptr_t word)
{
	char buffer[512];
	struct text t = { .at = buffer, .room = sizeof(buffer) };
	struct own_party party;

	own_i_party(&party, holder, slot, slot ? own_i_mode(own__load(
			&slot->how, OWN__ACQUIRE)) : "the handle's own", word);
	put(&t, "libown: ");
	put(&t, what);
	put(&t, "; held by ");
	put_party(&t, &party);
	own_i_fault_text(&t);
}

static void
stall_stderr(const char *text, void *arg)
{
	(void)arg;
	(void)write_all(STDERR_FILENO, text, strlen(text));
}

static own_stall_fn stall_fn = stall_stderr;
static void *stall_arg;
static uint32_t stall_lock;

void
own_stall_hook(own_stall_fn fn, void *arg)
{
	own_i_lock(&stall_lock);
	stall_fn = fn;
	stall_arg = arg;
	own_i_unlock(&stall_lock);
}

void
own_i_stall(const char *text)
{
	own_stall_fn fn;
	void *arg;

	own_i_lock(&stall_lock);
	fn = stall_fn;
	arg = stall_arg;
	own_i_unlock(&stall_lock);
	if (fn)
		fn(text, arg);
}

/* This thread has waited for a second: what for, and who has it. */
void
own_i_stall_wait(struct own_i_record *self)
{
	char buffer[1024];
	struct text t = { .at = buffer, .room = sizeof(buffer) };
	struct own_party party;
	uint64_t *word = (uint64_t *)own__load(&self->wait.word, OWN__RELAXED);
	uint32_t kind = own__load(&self->wait.kind, OWN__RELAXED);
	unsigned kinds = kind == OWN_I_WAIT_DRAIN ? OWN_I_READS : OWN_I_WRITES;
	int found = 0;

	put(&t, "libown: thread ");
	put_number(&t, (uint32_t)self->tid);
	put(&t, " waits since a second for ");
	put_address(&t, (uintptr_t)word);
	put_site(&t, self->wait.site);
	OWN_I_EACH_RECORD(record) {
		struct own__slot *slot = (kind & 0xff) == OWN_I_WAIT_GATE
			? own_i_slot_find_mode(record, word, kind >> 8, NULL,
					NULL)
			: own_i_slot_find(record, word, kinds, NULL, NULL);

		if (!slot || record == self)
			continue;
		put(&t, found++ ? ", " : "; held by ");
		own_i_party(&party, record, slot, own_i_mode(own__load(
				&slot->how, OWN__ACQUIRE)), (uintptr_t)word);
		put_party(&t, &party);
	}
	if (!found)
		put(&t, "; held by a detached handle, or by nobody any more");
	(void)put_end(&t);
	own_i_stall(buffer);
}

void
own_i_stall_retired(uint64_t bytes, const struct own_pending *oldest)
{
	char buffer[512];
	struct text t = { .at = buffer, .room = sizeof(buffer) };

	put(&t, "libown: ");
	put_number(&t, bytes);
	put(&t, " bytes are retired and not freed; the oldest");
	put_pending(&t, oldest);
	(void)put_end(&t);
	own_i_stall(buffer);
}
