/* SPDX-License-Identifier: MIT */
/*
 * cell.c - contract in own/cell.h, full argument in doc/design/cell.md
 *
 * OWN_EXCLUSIVE: slots and counts are on the cell's own word; current changes
 * only under a drained WRITER. OWN_VERSIONED: WRITER of the cell's word keeps
 * writers apart, and readers hold the word of the version itself.
 *
 * Invariants
 *   C1  current is stored by the owner of WRITER alone, replace included, else
 *       a draft made from an older version undoes it (p. 29).
 *   C2  A version is not written once it has been current.
 *   C3  draft is the owner of WRITER's.
 *
 * Pairs
 *   V1  publish (store of current, release) -> share (load,
 *       acquire): readers see the whole version. And S1 of slots.c: a share
 *       that stored its slot before the exchange is seen by the scan that
 *       follows, one after it sees the new version and starts again.
 *   W1  own_i_word_unwriter -> own_i_word_take (word.c): drafts in a row.
 */
#include <string.h>

#include "handles/internal.h"

static void
require_live(const struct own_cell *cell, const struct own_site *site)
{
	own_require(cell->state == OWN__CELL_LIVE,
			"cell is not initialised, or destroyed", site);
}

/* ---- share ---- */

/*
 * Protects the current version by slot s: store, look again. Lock-free: it
 * starts again only when a commit came between. NULL: the cell is empty.
 */
static void *
hold_current(struct own_cell *cell, struct own_i_slot s)
{
	/* relaxed: looked at again below */
	void *seen = own__load(&cell->current, OWN__RELAXED), *object;

	do {
		object = seen;
		if (!object) {
			own_i_slot_free(s);
			return NULL;
		}
		/* S1; what the slot held before was a version too, which a
		 * swap may wait for: hence set, not store */
		own_i_slot_set(s, (uintptr_t)&own_i_header(object)->word);
		/* V1: acquire; seq_cst: for the fallback */
		seen = own__load(&cell->current, OWN__SEQ_CST);
	} while (seen != object && !own__bug(OWN_BUG_NO_RECHECK));
	return object;
}

#ifndef OWN_NO_INLINE
static const void *
share_further(struct own_cell *cell, const struct own_site *site,
		uint64_t *ret_how, int *ret_slot)
{
	struct own__record *self = own__self;

	for (unsigned i = 1; i < OWN__SLOTS; i++)
		/* relaxed: this thread's own slots */
		if (!own__load(&self->object[i], OWN__RELAXED))
			return own__cell_share_inline(cell, self, i, site,
					ret_how, ret_slot);
	return NULL;
}
#endif

const void *
own__cell_share(struct own_cell *cell, uint64_t deadline_ns,
		const struct own_site *site, int slot, uint64_t *ret_how,
		int *r)
{
	struct own_i_record *self = own_i_self();
	struct own_i_slot s;
	void *object;

	*r = -ENOMEM;
	if (!self)
		return NULL;
	require_live(cell, site);
#ifndef OWN_NO_INLINE
	/* what the header's inline does for slot 0, for the others where that
	 * is taken; relaxed: this thread's own slots */
	if (!OWN_I_ORDER && slot < 0 && own__self &&
			own__load(&own__self->object[0], OWN__RELAXED)) {
		const void *held = share_further(cell, site, ret_how, &slot);

		if (held) {
			*r = 0;
			return held;
		}
	}
#endif
	if (slot >= 0)
		s = own_i_slot_at(self, (unsigned)slot);
	else if (own_i_slot_take(self, cell, site, &s))
		return NULL;
	if (cell->policy == OWN_VERSIONED) {
		object = hold_current(cell, s);
	} else {
		*r = own_i_word_share(self, s, &cell->word, deadline_ns,
				0);
		if (*r)
			return NULL;
		/* relaxed: does not change while this handle stands */
		object = own__load(&cell->current, OWN__RELAXED);
		if (!object)
			own__shared_end(cell, own_i_slot_how(s));
	}
	*r = object ? 0 : -ENOENT;
	*ret_how = own_i_slot_how(s);
	return object;
}

/* ---- claim ---- */

/* A copy of the version that WRITER's owner found; *r says why not. */
static void *
draft_of(void *version, int *r)
{
	void *draft = own_i_object_like(version, r);

	if (!draft)
		return NULL;
	*r = own_i_object_copy(draft, version);
	return *r ? NULL : draft;
}

/* WRITER is the caller's: makes the draft, or gives WRITER back. */
static void *
draft_begin(struct own_cell *cell, struct own_i_slot s, void *version, int *r)
{
	void *draft = NULL;

	*r = -ENOENT;
	if (version)
		draft = draft_of(version, r);
	if (!draft) {
		own_i_word_unwriter(&cell->word, 0, 0, 0);
		own_i_slot_free(s);
		return NULL;
	}
	cell->draft = draft;
	own_i_slot_kind(s, OWN__HOW_DRAFT);
	return draft;
}

static void
note(struct own_i_slot s, uint64_t *word)
{
	own_i_slot_kind(s, OWN__HOW_TRYING);
	own_i_slot_store(s, (uintptr_t)word | OWN__NOTE);
}

/* WRITER alone, which is all that a versioned cell's writers need. */
static int
take(struct own_i_record *self, struct own_cell *cell, struct own_i_slot s,
		uint64_t deadline_ns)
{
	uint64_t seen;
	int r = own_i_word_take(self, s, &cell->word, deadline_ns, 0,
			OWN_I_WRITES, &seen);

	own_i_wait_end(self);
	if (r)
		own_i_slot_free(s);
	return r;
}

static void *
claim(struct own_cell *cell, uint64_t deadline_ns, int orphan_ok,
		const struct own_site *site, uint64_t *ret_how, int *r)
{
	struct own_i_record *self = own_i_self();
	struct own_i_slot s;
	void *object;

	*r = -ENOMEM;
	if (!self)
		return NULL;
	require_live(cell, site);
	if (own_i_slot_take(self, cell, site, &s))
		return NULL;
	note(s, &cell->word);
	if (cell->policy == OWN_VERSIONED) {
		*r = take(self, cell, s, deadline_ns);
		if (*r)
			return NULL;
		/* relaxed: C1, W1 */
		object = draft_begin(cell, s, own__load(&cell->current,
				OWN__RELAXED), r);
		if (!object)
			return NULL;
	} else {
		*r = own_i_word_claim(self, s, &cell->word, deadline_ns,
				orphan_ok);
		if (*r)
			return NULL;
		/* relaxed: C1, W1 */
		object = own__load(&cell->current, OWN__RELAXED);
		if (!object) {
			own_i_word_unwriter(&cell->word, 1, 0, 0);
			own_i_slot_free(s);
			*r = -ENOENT;
			return NULL;
		}
	}
	*ret_how = own_i_slot_how(s);
	return object;
}

void *
own__cell_claim(struct own_cell *cell, uint64_t deadline_ns,
		const struct own_site *site, uint64_t *ret_how, int *r)
{
	return claim(cell, deadline_ns, 0, site, ret_how, r);
}

void *
own__cell_orphan_claim(struct own_cell *cell, const struct own_site *site,
		uint64_t *ret_how, int *r)
{
	*r = -EINVAL;
	if (cell->policy != OWN_EXCLUSIVE)
		return NULL;
	return claim(cell, OWN__TRY, 1, site, ret_how, r);
}

/*
 * Makes the object current: the linearization point of commit, replace and
 * swap. By C1 nobody else stores; the heavy fence of a later scan stands
 * between this store and its look at the slots (S1), and where there is no
 * such fence the exchange is sequentially consistent, as those loads are.
 */
static void *
publish(struct own_cell *cell, void *object)
{
	/* relaxed: C1, W1 */
	void *old = own__load(&cell->current, OWN__RELAXED);

	if (OWN__UNLIKELY(own_i_fenced))
		(void)own__xchg(&cell->current, object, OWN__SEQ_CST);
	else if (own__bug(OWN_BUG_COMMIT_NO_RELEASE))
		own__store(&cell->current, object, OWN__RELAXED);
	else
		/* V1: release, pairs with share */
		own__store(&cell->current, object, OWN__RELEASE);
	return old;
}

/* ---- what happens to a draft: called by handle.c ---- */

static struct own_cell *
cell_of(struct own_i_slot s)
{
	/* relaxed: this thread's own slot */
	return (struct own_cell *)own__load(&s.meta->container, OWN__RELAXED);
}

/*
 * The draft becomes current. keep: the draft, which the slot goes on holding
 * as a shared version; or NULL.
 */
void
own_i_cell_commit(struct own_i_record *self, struct own_i_slot s, void *keep)
{
	struct own_cell *cell = cell_of(s);
	void *draft = cell->draft, *old;

	cell->draft = NULL;
	old = publish(cell, draft);
	if (keep) {
		/* WRITER still stands: no retirement of it can have begun */
		own_i_slot_kind(s, OWN__HOW_HOLD);
		own_i_slot_set(s, (uintptr_t)&own_i_header(keep)->word);
	}
	own_i_word_unwriter(&cell->word, 0, 0, 0);
	own_i_retire(self, old);
}

void
own_i_cell_drop(struct own_i_slot s)
{
	struct own_cell *cell = cell_of(s);
	void *draft = cell->draft;

	cell->draft = NULL;
	own_i_word_unwriter(&cell->word, 0, 0, 0);
	own_i_object_end(draft);
}

int
own_i_cell_upgrade_try(struct own_i_record *self, struct own_i_slot from,
		const void *object, const struct own_site *site, void **ret,
		uint64_t *ret_how)
{
	struct own_cell *cell = cell_of(from);
	struct own_i_slot s;
	uint64_t kind = own_i_slot_how(from) & OWN__HOW_KIND;
	void *draft;
	int r;

	if (own_i_slot_take(self, cell, site, &s))
		return -ENOMEM;
	note(s, &cell->word);
	r = take(self, cell, s, OWN__TRY);
	if (r)
		return r;
	/* relaxed: C1, W1 */
	if (own__load(&cell->current, OWN__RELAXED) != object) {
		own_i_word_unwriter(&cell->word, 0, 0, 0);
		own_i_slot_free(s);
		return -EAGAIN;
	}
	draft = draft_begin(cell, s, (void *)(uintptr_t)object, &r);
	if (!draft)
		return r;
	if (kind == OWN__HOW_COUNTED)
		own_i_word_uncount(own_i_slot_word(from));
	own_i_slot_free(from);
	*ret = draft;
	*ret_how = own_i_slot_how(s);
	return 0;
}

/* ---- replace, swap ---- */

static void
outlast(struct own_i_record *self, struct own_i_slot s, void *version)
{
	uint64_t *word = &own_i_header(version)->word;

	own_i_word_outlast(self, s, word);
	/* an owned object again: neither DEAD nor counted, whoever may still
	 * announce itself */
	(void)own__and(word, ~(uint64_t)(OWN__DEAD | OWN__WAITERS),
			OWN__RELAXED);
}

static int
replace_versioned(struct own_i_record *self, struct own_cell *cell,
		struct own_i_slot s, uint64_t deadline_ns, void *object,
		void **ret_old)
{
	int r, take_writer = !own__bug(OWN_BUG_NO_WRITER);
	void *old;

	if (take_writer) {
		r = take(self, cell, s, deadline_ns);
		if (r)
			return r;
	}
	/* relaxed: C1, W1 */
	if (ret_old && !own__load(&cell->current, OWN__RELAXED)) {
		own_i_word_unwriter(&cell->word, 0, 0, 0);
		own_i_slot_free(s);
		return -ENOENT;
	}
	old = publish(cell, object);
	if (take_writer)
		own_i_word_unwriter(&cell->word, 0, 0, 0);
	if (ret_old) {
		own_i_slot_kind(s, OWN__HOW_TRYING);
		outlast(self, s, old);
		*ret_old = old;
	}
	own_i_slot_free(s);
	if (!ret_old && old)
		own_i_retire(self, old);
	return 0;
}

static int
replace_exclusive(struct own_i_record *self, struct own_cell *cell,
		struct own_i_slot s, uint64_t deadline_ns, void *object,
		void **ret_old)
{
	int r = own_i_word_claim(self, s, &cell->word, deadline_ns, 0);
	void *old;

	if (r)
		return r;
	/* relaxed: C1, W1 */
	old = own__load(&cell->current, OWN__RELAXED);
	if (!ret_old || old)
		own__store(&cell->current, object, OWN__RELAXED);
	else
		r = -ENOENT;
	own_i_word_unwriter(&cell->word, 1, 0, 0);
	own_i_slot_free(s);
	if (r)
		return r;
	if (ret_old)
		*ret_old = old;
	else if (old)
		/* every holder has left: nothing to wait for */
		own_i_object_end(old);
	return 0;
}

int
own__cell_replace(struct own_cell *cell, uint64_t deadline_ns,
		const struct own_site *site, void *object, uint64_t how,
		void **ret_old)
{
	struct own_i_record *self = own_i_self();
	struct own_i_slot s;

	own_require(object, "empty handle given to a cell", site);
	if (OWN__UNLIKELY((how & OWN__HOW_KIND) != OWN__HOW_OWNED))
		own__fault_handle(ret_old ? "own_cell_swap" :
				"own_cell_replace",
				": a borrowed handle, not an owned one", how,
				site);
	object = own_i_owned(how);
	if (!self)
		return -ENOMEM;
	require_live(cell, site);
	/* what was taken out of a map may still be looked at: it stays DEAD;
	 * relaxed: the caller owns it */
	if (own_i_type_differs(own_i_type(own_i_header(object)),
				cell->type) ||
			(own__load(&own_i_header(object)->word,
				OWN__RELAXED) & OWN__DEAD))
		return -EINVAL;
	if (ret_old && cell->policy == OWN_VERSIONED) {
		if (deadline_ns != OWN__FOREVER)
			return -EINVAL;
		if (own_i_slot_any(self))
			return -EDEADLK;
	}
	if (own_i_slot_take(self, cell, site, &s))
		return -ENOMEM;
	note(s, &cell->word);
	return cell->policy == OWN_VERSIONED
		? replace_versioned(self, cell, s, deadline_ns, object, ret_old)
		: replace_exclusive(self, cell, s, deadline_ns, object,
				ret_old);
}

/* ---- peek ---- */

int
own__cell_peek(struct own_cell *cell, uint64_t deadline_ns, own_peek_fn fn,
		void *arg)
{
	struct own_shared seen = { NULL, 0 };
	int r = own__cell_share_any(cell, deadline_ns, &seen, NULL);

	if (r)
		return r;
	r = fn(seen.object, own__size(seen.object), arg);
	own_shared_release(&seen);
	return r;
}

struct copy_out {
	void *buffer;
	size_t size;
};

static int
copy_out(const void *value, size_t size_bytes, void *arg)
{
	const struct copy_out *out = arg;

	if (size_bytes > out->size)
		return -EOVERFLOW;
	memcpy(out->buffer, value, size_bytes);
	return 0;
}

int
own__cell_read(struct own_cell *cell, uint64_t deadline_ns, void *buffer,
		size_t size_bytes)
{
	struct copy_out out = { .buffer = buffer, .size = size_bytes };

	return own__cell_peek(cell, deadline_ns, copy_out, &out);
}

/* ---- creation and destruction ---- */

int
own_cell_init(struct own_cell *cell, const struct own_type *type,
		uint32_t policy, const char *name, struct own_unique *initial)
{
	struct own__header *header;

	if (policy != OWN_EXCLUSIVE && policy != OWN_VERSIONED)
		return -EINVAL;
	if (initial) {
		if (!initial->object || (initial->how & OWN__HOW_KIND) !=
				OWN__HOW_OWNED)
			return -EINVAL;
		header = own_i_header(own_i_owned(initial->how));
		/* relaxed: the caller owns it */
		if (own_i_type_differs(own_i_type(header), type) ||
				(own__load(&header->word, OWN__RELAXED) &
				 OWN__DEAD))
			return -EINVAL;
	}
	*cell = (struct own_cell) {
		.word = OWN__BIASED, .type = type, .name = name,
		.policy = policy, .state = OWN__CELL_LIVE,
	};
	if (initial) {
		cell->current = own_i_owned(initial->how);
		initial->object = NULL;
		initial->how = 0;
	}
	return 0;
}

/* Any slot that names the cell stops the process, with its place. */
static void
require_unheld(struct own_cell *cell)
{
	static const char text[] =
		"own_cell_destroy: a handle of the cell is out";

	own_i_heavy_fence();
	OWN_I_EACH_RECORD(record)
		OWN_I_EACH_BLOCK(b, record)
			for (unsigned i = 0; i < OWN__SLOTS; i++) {
				/* S1, S2: seq_cst, for the fallback */
				uintptr_t object = own__load(&b->s.object[i],
						OWN__SEQ_CST);

				/* relaxed: stored before the object */
				if (object && own__load(&b->s.slot[i].container,
						OWN__RELAXED) ==
						(uintptr_t)cell)
					own_i_fault_held(text, record,
							&b->s.slot[i],
							object & ~OWN__NOTE);
			}
	/* W2: acquire, pairs with own_i_word_uncount() */
	own_require(!(own__load(&cell->word, OWN__ACQUIRE) &
			(OWN__COUNT_MASK | OWN__WRITER)), text, NULL);
}

void
own_cell_destroy(struct own_cell *cell)
{
	struct own_i_record *self;
	void *object;

	if (!cell || cell->state != OWN__CELL_LIVE)
		return;
	self = own_i_self();
	require_unheld(cell);
	own_i_when_none(cell, "own_cell_destroy: an own_when is armed at it");
	cell->state = 0;
	/* relaxed: nobody else uses the cell any more */
	object = own__load(&cell->current, OWN__RELAXED);
	own__store(&cell->current, NULL, OWN__RELAXED);
	if (!object)
		return;
	/* a detached handle may keep a version; without a record, by want of
	 * memory, only one that nobody can hold may be ended here */
	if (cell->policy == OWN_VERSIONED && self)
		own_i_retire(self, object);
	else
		own_i_object_end(object);
}
