/* SPDX-License-Identifier: MIT */
/*
 * slots.c - thread records, their slots, and the asymmetric fence
 *
 * Invariants
 *   R1  A record is type-stable: pushed once, reused, never unmapped. So scans
 *       and own_dump() may read any record at any time.
 *   R2  A slot's object is stored by its own thread alone, always with release
 *       order, so that a scan which no longer finds an object happens after
 *       every read made through the slot.
 *   R3  A thread pushes or takes its record before its first slot store. A
 *       scan that misses it read the list, or the slot, before that thread's
 *       light fence; then the thread sees what the scan's owner did before its
 *       heavy fence (p. 18).
 *
 * Pairs
 *   R1  register (CAS, release) -> OWN_I_EACH_RECORD (load, acquire)
 *   S1  own__cell_share_any (store, light fence, load of the word) <->
 *       own_i_word_drain, scan (heavy fence, load of the slot): either the
 *       scan sees the slot, or the reader sees WRITER (P1202).
 *   S2  own_shared_release (store, release) -> the scans (load, acquire)
 *   S3  own_i_slot_set (store, light fence, load of wanted) <->
 *       own_i_slot_await (store of wanted, heavy fence, load of the slot)
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "handles/internal.h"
#include "lib/rcu.h"

#define RECORDS_MAX	(1u << 20)	/* 20 bits of a handle's how */
#define BLOCKS_MAX	128u		/* 12 bits */

__thread struct own__record *own__self
	__attribute__((tls_model("initial-exec")));
__thread struct own_i_record *own_i_this
	__attribute__((tls_model("initial-exec")));
#if defined(OWN_CHECKED) && !defined(OWN_MODEL)
__thread const void *own_i_taking
	__attribute__((tls_model("initial-exec")));
#endif
struct own_i_record *own_i_records;
uint32_t own_i_fenced;

static uint32_t records_n;
static uint32_t setup_lock;
static int setup_done;
static int setup_no_membarrier;
static uint64_t fences;
static uint64_t fence_cost_ns;
static struct own_alloc allocator;
#ifndef OWN_MODEL
static pthread_key_t exit_key;
static pid_t this_process;
static pid_t forked_from;		/* whose threads are not here, or 0 */
#endif
#ifdef OWN_BUGS
uint64_t own__bugs;
#endif

#ifdef OWN_BUGS
static void
bugs_read(void)
{
	static const char *const names[] = {
#define BUG_NAME(name)	#name,
		OWN__BUG_LIST(BUG_NAME)
#undef BUG_NAME
	};
	const char *chosen = getenv("OWN_BUG");

	for (unsigned i = 0; chosen && i < OWN__BUGS; i++)
		if (strcmp(chosen, names[i]) == 0)
			own__bugs |= UINT64_C(1) << i;
	own_require(!chosen || !*chosen || own__bugs,
			"OWN_BUG names no seeded bug", NULL);
}
#endif

#ifdef OWN_MODEL
/* OWN_MEMBARRIER=off is the fallback of the model too. */
static int
membarrier_missing(void)
{
	return 0;
}
#else
static int
membarrier(int command)
{
	return (int)syscall(SYS_membarrier, command, 0, 0);
}

/* Probed once, never by trapping. */
static int
membarrier_missing(void)
{
	return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) != 0 ||
		membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0;
}
#endif

/*
 * own_i_heavy_fence - the claimer's and scanner's half of S1 and S3
 *
 * Readers cannot be fenced after the fact: a failure stops the process.
 */
void
own_i_heavy_fence(void)
{
	/* relaxed: constant since the first record */
	if (own__load(&own_i_fenced, OWN__RELAXED))
		return;
	/* relaxed: statistics */
	(void)own__add(&fences, 1, OWN__RELAXED);
#ifdef OWN_MODEL
	own_m_membarrier();
#else
	uint64_t began = own_now_ns(), cost;

	while (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0)
		own_require(errno == ENOMEM, "the system call membarrier is "
				"refused since libown began to use it (a "
				"seccomp filter?): set OWN_MEMBARRIER=off, or "
				"call own_setup(OWN_NO_MEMBARRIER) first",
				NULL);
	cost = own_now_ns() - began;
	/* relaxed: an estimate, 1/8 of the new figure each time */
	own__store(&fence_cost_ns, own__load(&fence_cost_ns, OWN__RELAXED) *
			7 / 8 + cost / 8, OWN__RELAXED);
#endif
}

uint64_t
own_i_fence_cost_ns(void)
{
	/* relaxed: an estimate */
	return own__load(&fence_cost_ns, OWN__RELAXED);
}

/* Records so far: no fewer than there are threads that use the library. */
uint32_t
own_i_records_n(void)
{
	/* relaxed: a bound of who may be under way already */
	return own__load(&records_n, OWN__RELAXED);
}

uint64_t
own_i_fences(void)
{
	/* relaxed: statistics */
	return own__load(&fences, OWN__RELAXED);
}

/* ---- set-up ---- */

int
own_setup(uint32_t flags)
{
	int r = 0;

	if (flags & ~OWN_NO_MEMBARRIER)
		return -EINVAL;
	own_i_lock(&setup_lock);
	if (setup_done)
		r = -EBUSY;
	else
		setup_no_membarrier = (flags & OWN_NO_MEMBARRIER) != 0;
	own_i_unlock(&setup_lock);
	return r;
}

int
own_set_alloc(const struct own_alloc *alloc)
{
	static const struct own_alloc none;
	int r = 0;

	own_i_lock(&setup_lock);
	if (setup_done)
		r = -EBUSY;
	else
		allocator = alloc ? *alloc : none;
	own_i_unlock(&setup_lock);
	return r;
}

void *
own_i_alloc(size_t size_bytes, size_t align)
{
#ifdef OWN_MODEL
	return own_m_alloc(size_bytes, align);
#else
	void *p;

	if (allocator.alloc)
		return allocator.alloc(size_bytes, align, allocator.context);
	if (align <= 16)
		return malloc(size_bytes);
	return posix_memalign(&p, align, size_bytes) == 0 ? p : NULL;
#endif
}

void
own_i_free(void *p, size_t size_bytes)
{
#ifdef OWN_MODEL
	(void)size_bytes;
	own_m_free(p);
#else
	if (allocator.alloc)
		allocator.free(p, size_bytes, allocator.context);
	else
		free(p);
#endif
}

/* ---- records ---- */

static struct own_i_slot
slot_ref(struct own_i_block *block, unsigned i)
{
	return (struct own_i_slot) {
		.object = &block->s.object[i], .meta = &block->s.slot[i],
	};
}

static void
block_init(struct own_i_block *block, uint32_t first, uint32_t record)
{
#ifdef OWN_MODEL
	own_m_keep(block);
#endif
	memset(block, 0, sizeof(*block));
	block->first = first;
	for (uint32_t i = 0; i < OWN__SLOTS; i++)
		block->s.slot[i].how = (uint64_t)record << 16 | (first + i);
}

/* What a thread still holds when it ends: nobody else may be kept waiting. */
static void
slot_exit(struct own_i_record *self, struct own_i_slot s)
{
	uint64_t *word = own_i_slot_word(s);

	switch (own_i_slot_how(s) & OWN__HOW_KIND) {
	case OWN__HOW_COUNTED:
		own_i_word_uncount(word);
		break;
	case OWN__HOW_UNIQUE:
		own_i_word_unwriter(word, 1, 0, OWN__ORPHAN);
		break;
	case OWN__HOW_GATED:
		own_i_word_unwriter(word, 1, 0, OWN__ORPHAN);
		break;
	case OWN__HOW_MADE:
		own_i_map_drop(self, s);
		break;
	case OWN__HOW_DRAFT:
		if (own_i_slot_container(s) & OWN_I_MAP)
			own_i_map_drop(self, s);
		else
			own_i_cell_drop(s);
		break;
	case OWN__HOW_WHOLE:
		own_i_gate_leave(word, own_i_slot_container(s));
		break;
	default:
		break;
	}
	own_i_slot_free(s);
}

static void
thread_exit(void *arg)
{
	struct own_i_record *self = arg;

	if (!own_i_this)
		return;
	OWN_I_EACH_BLOCK(b, self)
		for (unsigned i = 0; i < OWN__SLOTS; i++)
			/* relaxed: this thread's own slots */
			if (own__load(&b->s.object[i], OWN__RELAXED))
				slot_exit(self, slot_ref(b, i));
	own_i_wait_end(self);
	own_i_reclaim_exit(self);
	own_i_rcu_unregister();
	own__self = NULL;
	own_i_this = NULL;
	self->refusal.error = 0;
	/* R1: pairs with record_reuse() */
	own__store(&self->used, 0, OWN__RELEASE);
}

/* ---- fork: doc/design/faults.md ---- */

#ifdef OWN_MODEL
void
own_i_fork_check(void)
{
}
#else
/*
 * In the child, on its only thread, in whatever state fork found the process:
 * nothing here but plain stores and system calls. Without own__self and
 * own_i_this every inline and every verb goes where the flag is looked at.
 */
static void
fork_child(void)
{
	/* relaxed, here and below: there is one thread. A holder of the lock
	 * was about to become a user */
	int others = own__xchg(&setup_lock, 0, OWN__RELAXED) != 0;

	OWN_I_EACH_RECORD(r)
		if (r != own_i_this && own__load(&r->used, OWN__RELAXED))
			others = 1;
	if (others) {
		if (!forked_from)
			forked_from = this_process;
		own__self = NULL;
		own_i_this = NULL;
	} else {
		if (own_i_this)
			own__store(&own_i_this->tid,
					(int32_t)syscall(SYS_gettid),
					OWN__RELAXED);
		/* where this fails the first heavy fence says so */
		if (!own__load(&own_i_fenced, OWN__RELAXED))
			(void)membarrier(
				MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
	}
	this_process = getpid();
}

static void
fork_fault(void)
{
	static const char head[] = "this process is a fork of process ";
	static const char tail[] = ", in which another thread used libown: "
		"fork first, then threads; the child of a threaded process "
		"may only exec or exit";
	char text[sizeof(head) + sizeof(tail) + 10], digits[10];
	size_t at = sizeof(head) - 1;
	unsigned n = 0;

	memcpy(text, head, at);
	for (pid_t pid = forked_from; pid && n < sizeof(digits); pid /= 10)
		digits[n++] = (char)('0' + pid % 10);
	while (n)
		text[at++] = digits[--n];
	memcpy(text + at, tail, sizeof(tail));
	own__fault(text, NULL);
}

void
own_i_fork_check(void)
{
	if (OWN__UNLIKELY(forked_from != 0))
		fork_fault();
}
#endif

static int
setup_once(void)
{
	int r = 0;

	own_i_lock(&setup_lock);
	if (!setup_done) {
		const char *off = getenv("OWN_MEMBARRIER");
#ifdef OWN_BUGS
		bugs_read();
#endif
		/* relaxed: before any record, which publishes it */
		own__store(&own_i_fenced, setup_no_membarrier ||
				(off && strcmp(off, "off") == 0) ||
				membarrier_missing(), OWN__RELAXED);
#ifndef OWN_MODEL
		r = -pthread_key_create(&exit_key, thread_exit);
		this_process = getpid();
		if (!r && pthread_atfork(NULL, NULL, fork_child)) {
			(void)pthread_key_delete(exit_key);
			r = -ENOMEM;
		}
		if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
			own_i_spins = 0;
#endif
		if (!r)
			setup_done = 1;
	}
	own_i_unlock(&setup_lock);
	return r;
}

static struct own_i_record *
record_reuse(void)
{
	OWN_I_EACH_RECORD(r) {
		uint32_t seen = 0;

		/* relaxed: only a first guess for the CAS */
		if (own__load(&r->used, OWN__RELAXED))
			continue;
		/* R1: acquire, pairs with thread_exit() */
		if (own__cas(&r->used, &seen, 1, OWN__ACQUIRE))
			return r;
	}
	return NULL;
}

static struct own_i_record *
record_new(void)
{
	/* relaxed: a ticket */
	uint32_t id = own__add(&records_n, 1, OWN__RELAXED);
	struct own_i_record *record;
	struct own_i_record *head;

	if (id >= RECORDS_MAX)
		goto none;
	record = own_i_alloc(sizeof(*record), 64);
	if (!record)
		goto none;
	block_init(&record->block, 0, id);
	memset(&record->next, 0, sizeof(*record) -
			offsetof(struct own_i_record, next));
	record->id = id;
	record->used = 1;
	/* relaxed: only a first guess for the CAS */
	head = own__load(&own_i_records, OWN__RELAXED);
	do
		record->next = head;
	while (!own__cas(&own_i_records, &head, record, OWN__RELEASE));
	return record;
none:
	/* the number is spent: another thread may have taken the next */
	return NULL;
}

struct own_i_record *
own_i_register(void)
{
	struct own_i_record *self;

	own_i_fork_check();
	own_i_copies_enter();
	if (setup_once())
		return NULL;
	self = record_reuse();
	if (!self)
		self = record_new();
	if (!self)
		return NULL;
#ifndef OWN_MODEL
	if (pthread_setspecific(exit_key, self) != 0) {
		own__store(&self->used, 0, OWN__RELEASE);
		return NULL;
	}
	(void)prctl(PR_GET_NAME, self->name, 0, 0, 0);
#endif
	/* relaxed: for reports */
	own__store(&self->tid, (int32_t)syscall(SYS_gettid), OWN__RELAXED);
	own_i_rcu_register();
	own_i_this = self;
	/* relaxed: constant since the first record */
	if (!own__load(&own_i_fenced, OWN__RELAXED))
		own__self = &self->block.s;
	return self;
}

int
own_thread_register(void)
{
	return own_i_self() ? 0 : -ENOMEM;
}

/* ---- slots ---- */

struct own_i_slot
own_i_slot_at(struct own_i_record *self, unsigned number)
{
	struct own_i_block *block = &self->block;

	while (block->first + OWN__SLOTS <= number) {
		/* relaxed: this thread's own chain */
		block = own__load(&block->next, OWN__RELAXED);
		own_require(block, "handle is stale or damaged", NULL);
	}
	return slot_ref(block, number - block->first);
}

static int
block_add(struct own_i_record *self, struct own_i_block *last)
{
	struct own_i_block *block;

	if (last->first / OWN__SLOTS + 1 >= BLOCKS_MAX)
		return -ENOMEM;
	block = own_i_alloc(sizeof(*block), 64);
	if (!block)
		return -ENOMEM;
	block_init(block, last->first + OWN__SLOTS, self->id);
	/* R1: pairs with OWN_I_EACH_BLOCK */
	own__store(&last->next, block, OWN__RELEASE);
	return 0;
}

/* Beyond the first block. */
int
own_i_slot_take_more(struct own_i_record *self, struct own_i_slot *ret)
{
	struct own_i_block *block = &self->block, *next;

	for (;;) {
		/* relaxed: this thread's own chain and slots */
		next = own__load(&block->next, OWN__RELAXED);
		if (!next && block_add(self, block))
			return -ENOMEM;
		block = own__load(&block->next, OWN__RELAXED);
		for (unsigned i = 0; i < OWN__SLOTS; i++)
			if (!own__load(&block->s.object[i], OWN__RELAXED)) {
				*ret = slot_ref(block, i);
				return 0;
			}
	}
}

int
own_i_slot_is(struct own_i_record *self, uint64_t how)
{
	struct own_i_slot s;

	if (!self || ((how >> 16) & (RECORDS_MAX - 1)) != self->id)
		return 0;
	s = own_i_slot_at(self, how & OWN__HOW_SLOT);
	/* relaxed: this thread's own slot */
	return own_i_slot_how(s) == how &&
		own__load(s.object, OWN__RELAXED) != 0;
}

struct own_i_slot
own_i_slot_of(struct own_i_record *self, uint64_t how, const char *verb)
{
	struct own_i_slot s;

	if (((how >> 16) & (RECORDS_MAX - 1)) != self->id)
		own__fault_handle(verb, ": handle of another thread", how,
				NULL);
	s = own_i_slot_at(self, how & OWN__HOW_SLOT);
	/* relaxed: this thread's own slot */
	if (own_i_slot_how(s) != how || own__load(s.object, OWN__RELAXED) == 0)
		own__fault_handle(verb, ": handle is stale", how, NULL);
	return s;
}

/*
 * The how that is returned was the slot's while its object was the word: read
 * before and after, since a slot is reused at once (D2).
 */
struct own__slot *
own_i_slot_find(struct own_i_record *of, const uint64_t *word, unsigned kinds,
		const struct own__slot *except, uint64_t *ret_how)
{
	OWN_I_EACH_BLOCK(b, of)
		for (unsigned i = 0; i < OWN__SLOTS; i++) {
			struct own__slot *slot = &b->s.slot[i];
			/* acquire, all three: pairs with own_i_slot_kind(),
			 * own_i_slot_store(), and keeps them in order */
			uint64_t how = own__load(&slot->how, OWN__ACQUIRE);
			uintptr_t object = own__load(&b->s.object[i],
					OWN__ACQUIRE);
			uint64_t kind = how & OWN__HOW_KIND;

			if ((object & ~OWN__NOTE) != (uintptr_t)word ||
					slot == except ||
					!(kinds & OWN_I_KIND(kind)))
				continue;
			/* a note on its way to another kind is no HOLD */
			if (kind == OWN__HOW_HOLD && (object & OWN__NOTE))
				continue;
			if (own__load(&slot->how, OWN__ACQUIRE) != how)
				continue;
			if (ret_how)
				*ret_how = how;
			return slot;
		}
	return NULL;
}

/* The same of a gate's structure: by container and mode. */
struct own__slot *
own_i_slot_find_mode(struct own_i_record *of, const uint64_t *gate,
		uintptr_t modes, const struct own__slot *except,
		uint64_t *ret_how)
{
	OWN_I_EACH_BLOCK(b, of)
		for (unsigned i = 0; i < OWN__SLOTS; i++) {
			struct own__slot *slot = &b->s.slot[i];
			/* acquire, all: as own_i_slot_find() */
			uint64_t how = own__load(&slot->how, OWN__ACQUIRE);
			uintptr_t object = own__load(&b->s.object[i],
					OWN__ACQUIRE);
			uintptr_t container = own__load(&slot->container,
					OWN__ACQUIRE);

			if (!object || slot == except ||
					!own_i_has_mode(container, gate,
						modes) ||
					own__load(&slot->how, OWN__ACQUIRE) !=
					how)
				continue;
			if (ret_how)
				*ret_how = how;
			return slot;
		}
	return NULL;
}

/* Whether this thread holds anything at all. */
int
own_i_slot_any(struct own_i_record *self)
{
	OWN_I_EACH_BLOCK(b, self)
		for (unsigned i = 0; i < OWN__SLOTS; i++)
			/* relaxed: this thread's own slots */
			if (own__load(&b->s.object[i], OWN__RELAXED))
				return 1;
	return 0;
}

/* Whoever waits for a HOLD set wanted, looked again and sleeps on it (S3). */
void
own__slot_wake(struct own__slot *slot)
{
	if (own__bug(OWN_BUG_NO_SETTLE))
		return;
	/* a syscall follows, the sleeper looks at the slot itself; acq_rel: N1,
	 * for notes */
	if (!own__bug(OWN_BUG_WAKE_ONLY))
		(void)own__xchg(&slot->wanted, 0, OWN__ACQ_REL);
	own_i_wake(&slot->wanted, OWN_I_ALL, OWN_I_FUTEX_ANY);
}

#ifdef OWN_MODEL
static void
model_exit(void)
{
	if (own_i_this)
		thread_exit(own_i_this);
}

static void
model_reset(void)
{
	own_i_records = NULL;
	records_n = 0;
	own_i_when_reset();
	setup_lock = 0;
	setup_done = 0;
	setup_no_membarrier = 0;
	fences = 0;
	own_i_fenced = 0;
}

/* Tells the scheduler what is thread-local and global here; once a process. */
void
own_i_model_init(void)
{
	own_m_tls(&own__self, sizeof(own__self));
	own_m_tls(&own_i_this, sizeof(own_i_this));
	own_m_at_thread_exit(model_exit);
	own_m_at_reset(model_reset);
}
#endif
