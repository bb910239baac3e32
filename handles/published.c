/* SPDX-License-Identifier: MIT */
/*
 * published.c - owned objects that are shared for good, by count
 *
 * The count is in the object's own word, and nobody waits on that: a published
 * object has no container, no writer and no slot. Whoever takes the count to
 * zero ends it (as Boost's and Rust's atomic counts; Deutsch and Bobrow 1976
 * say why a cycle of them never ends).
 *
 * Pairs
 *   P1  own_i_published_end (add, release and acquire) -> the same of the last
 *       holder, own_i_published_reclaim_try (CAS, acquire): all that was read
 *       through the object by others is over
 */
#include "handles/internal.h"

void
own__unique_publish(void *object, uint64_t how, const struct own_site *site,
		uint64_t *ret_how)
{
	struct own__header *header;

	own_require(object, "own_unique_publish: empty handle", site);
	if (OWN__UNLIKELY((how & OWN__HOW_KIND) != OWN__HOW_OWNED))
		own__fault_handle("own_unique_publish",
				": a borrowed handle, not an owned one", how,
				site);
	own_i_fork_check();
	header = own_i_header(own_i_owned(how));
	/* relaxed: the caller's own object; it stays DEAD if it was in a map */
	own__store(&header->word, (own__load(&header->word, OWN__RELAXED) &
			OWN__DEAD) | OWN__COUNT_ONE, OWN__RELAXED);
	*ret_how = OWN__HOW_PUBLISHED | (how & ~(OWN__HOW_KIND |
			OWN__HOW_SLOT));
}

void
own_i_published_end(uint64_t how)
{
	struct own__header *header =
		(struct own__header *)own_i_how_word(how);
	/* P1 */
	uint64_t w = own__add(&header->word, -(uint64_t)OWN__COUNT_ONE,
			own__bug(OWN_BUG_PUBLISHED_RELAXED) ? OWN__RELAXED
			: OWN__ACQ_REL);

	own_require(w & OWN__COUNT_MASK, "published handle released twice",
			NULL);
	if ((w & OWN__COUNT_MASK) == OWN__COUNT_ONE)
		own_i_object_end(own_i_payload(header));
}

int
own_i_published_reclaim_try(uint64_t how, const struct own_site *site,
		uint64_t *ret_how)
{
	struct own__header *header =
		(struct own__header *)own_i_how_word(how);
	/* relaxed: only a first guess for the CAS */
	uint64_t w = own__load(&header->word, OWN__RELAXED);
	struct own__slot caller = { .site = site };
	struct own_i_slot s = { .meta = &caller };
	struct own_i_record *self = own_i_self();

	do
		if ((w & OWN__COUNT_MASK) != OWN__COUNT_ONE) {
			if (self)
				(void)own_i_refuse(self, s, &header->word,
						"owned", -EBUSY);
			return -EBUSY;
		}
	/* P1: acquire, pairs with own_i_published_end() */
	while (!own__cas(&header->word, &w, w - OWN__COUNT_ONE,
			own__bug(OWN_BUG_RECLAIM_RELAXED) ? OWN__RELAXED
			: OWN__ACQUIRE));
	*ret_how = OWN__HOW_OWNED | (how & ~(OWN__HOW_KIND | OWN__HOW_SLOT));
	return 0;
}

int
own__shared_reclaim_try(const void *object, uint64_t how,
		const struct own_site *site, uint64_t *ret_how)
{
	own_require(object, "own_shared_reclaim_try: empty handle", site);
	if ((how & OWN__HOW_KIND) != OWN__HOW_PUBLISHED)
		return -EINVAL;
	return own_i_published_reclaim_try(how, site, ret_how);
}

void *
own__shared_make_mine(const void *object, uint64_t how, uint64_t *ret_how,
		int *r)
{
	static const char verb[] = "own_shared_make_mine";
	uint64_t kind = how & OWN__HOW_KIND;
	void *whole, *to;

	own_require(object, "own_shared_make_mine: empty handle", NULL);
	*r = -EINVAL;
	if (own_i_is_map(how))
		return NULL;
	whole = own_i_whole_of(how, verb);
	if (kind == OWN__HOW_PUBLISHED) {
		/* what is refused is copied: no report */
		if ((own__load(own_i_how_word(how), OWN__ACQUIRE) &
				OWN__COUNT_MASK) == OWN__COUNT_ONE &&
				!own_i_published_reclaim_try(how, NULL,
					ret_how)) {
			*r = 0;
			return whole;
		}
	} else if (kind != OWN__HOW_DETACHED) {
		if (!(OWN_I_KIND(kind) & OWN_I_READS))
			own__fault_handle(verb, ": not a shared handle", how,
					NULL);
	}
	to = own_i_object_like(whole, r);
	if (!to)
		return NULL;
	*r = own_i_object_copy(to, whole);
	if (*r)
		return NULL;
	own__shared_end(object, how);
	*ret_how = OWN__HOW_OWNED |
		(uint64_t)(uintptr_t)own_i_header(to) << 16;
	return to;
}
