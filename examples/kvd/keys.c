/* SPDX-License-Identifier: MIT */
/*
 * keys.c - the commands on keys
 *
 * Each enters the store once, so that all it sees comes from one data set.
 * Replies and their texts are Redis'.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "kvd.h"

#define SCAN_DEFAULT	10u
#define SCAN_MAX	10000u
/* Entries that a tick of the timer looks at, and keys that it drops. */
#define EXPIRE_SCAN	256u
#define EXPIRE_DROP	32u

static const char not_integer[] =
	"ERR value is not an integer or out of range";

static struct store *
store_of(struct conn *c)
{
	return c->loop->server->store;
}

static struct own_bytes
key_of(const struct arg *arg)
{
	return own_bytes(arg->data, arg->size);
}

static void
out_failure(struct out *o, int r)
{
	if (r == -ENOMEM)
		out_error(o, "OOM command not allowed when out of memory");
	else
		out_error(o, "ERR %s", strerror(-r));
}

static int
enter(struct conn *c, enum access access, const struct own_bytes *key,
		struct view *ret, struct out *o)
{
	int r = store_of(c)->ops->enter(store_of(c), access, key, ret);

	if (r)
		out_failure(o, r);
	return r;
}

static void
leave(struct conn *c, struct view *view)
{
	store_of(c)->ops->leave(store_of(c), view);
}

static void
drop_expired(struct store *store, struct own_bytes key)
{
	struct view view = { 0 };

	if (store->ops->enter(store, WRITE, &key, &view))
		return;
	store->ops->drop_expired(store, &view, key);
	store->ops->leave(store, &view);
}

/* As Redis: all of it, no blanks, no plus, no leading zeros. */
static bool
integer(const char *text, size_t size, int64_t *ret)
{
	char digits[24], again[24];

	if (!size || size >= sizeof(digits))
		return false;
	memcpy(digits, text, size);
	digits[size] = '\0';
	errno = 0;
	*ret = strtoll(digits, NULL, 10);
	snprintf(again, sizeof(again), "%" PRId64, *ret);
	return !errno && strlen(again) == size &&
		!memcmp(digits, again, size);
}

/* ---- GET, MGET, EXISTS, TTL ---- */

/* A large value stays where it is, if the store lets go of it. */
static void
reply_value(struct store *store, struct view *view, const struct value *v,
		struct out *o)
{
	struct own_shared kept = { 0 };

	if (v->size >= OUT_REFER_MIN && store->ops->keep &&
	    !store->ops->keep(store, view, &kept))
		out_bulk_kept(o, v->bytes, v->size, &kept);
	else
		out_bulk(o, v->bytes, v->size);
}

void
command_get(struct conn *c, const struct request *req, struct out *o)
{
	struct own_bytes key = key_of(&req->arg[1]);
	struct store *store = store_of(c);
	const struct value *v;
	struct view view = { 0 };
	int r = enter(c, READ, &key, &view, o);

	if (r)
		return;
	r = store->ops->get(store, &view, key, &v);
	if (!r)
		reply_value(store, &view, v, o);
	else if (r == -ENOENT || r == -ESTALE)
		out_nil(o);
	else
		out_failure(o, r);
	leave(c, &view);
	if (r == -ESTALE)
		drop_expired(store, key);
}

void
command_mget(struct conn *c, const struct request *req, struct out *o)
{
	struct store *store = store_of(c);
	struct out_mark mark = out_mark(o);
	const struct value *v;
	struct view view = { 0 };
	size_t bytes = 0;
	int r;

	if (enter(c, READ, NULL, &view, o))
		return;
	out_array(o, req->args_n - 1);
	for (uint32_t i = 1; i < req->args_n; i++) {
		r = store->ops->get(store, &view, key_of(&req->arg[i]), &v);
		if (r) {
			out_nil(o);
			continue;
		}
		bytes += v->size;
		if (bytes > KVD_REPLY_BYTES) {
			out_rewind(o, mark);
			out_error(o, "ERR reply of more than %zu bytes",
					KVD_REPLY_BYTES);
			break;
		}
		reply_value(store, &view, v, o);
	}
	leave(c, &view);
}

void
command_exists(struct conn *c, const struct request *req, struct out *o)
{
	struct store *store = store_of(c);
	const struct value *v;
	struct view view = { 0 };
	int64_t n = 0;

	if (enter(c, READ, NULL, &view, o))
		return;
	for (uint32_t i = 1; i < req->args_n; i++)
		n += !store->ops->get(store, &view, key_of(&req->arg[i]), &v);
	leave(c, &view);
	out_integer(o, n);
}

void
command_ttl(struct conn *c, const struct request *req, struct out *o)
{
	struct own_bytes key = key_of(&req->arg[1]);
	struct store *store = store_of(c);
	const struct value *v;
	struct view view = { 0 };
	int64_t ttl = -2, left;
	int r = enter(c, READ, &key, &view, o);

	if (r)
		return;
	r = store->ops->get(store, &view, key, &v);
	if (!r && v->expires_ms) {
		left = (int64_t)(v->expires_ms - now_ms());
		ttl = left > 0 ? (left + 500) / 1000 : 0;
	} else if (!r) {
		ttl = -1;
	}
	leave(c, &view);
	out_integer(o, ttl);
	if (r == -ESTALE)
		drop_expired(store, key);
}

/* ---- SET, DEL ---- */

struct set_options {
	enum when when;
	uint64_t expires_ms;
};

/* When @seconds from now is; 0 if no clock shows that. */
static uint64_t
deadline_ms(int64_t seconds)
{
	int64_t now = (int64_t)now_ms();

	if (seconds > (INT64_MAX - now) / 1000)
		return 0;
	/* what is in the past has expired; 0 would be never */
	return seconds <= 0 ? 1 : (uint64_t)(now + seconds * 1000);
}

/* NULL, or what is wrong */
static const char *
set_options(const struct request *req, struct set_options *ret)
{
	int64_t seconds;

	for (uint32_t i = 3; i < req->args_n; i++) {
		const struct arg *arg = &req->arg[i];

		if (arg_is(arg, "NX") && ret->when != IF_PRESENT) {
			ret->when = IF_ABSENT;
		} else if (arg_is(arg, "XX") && ret->when != IF_ABSENT) {
			ret->when = IF_PRESENT;
		} else if (arg_is(arg, "EX") && !ret->expires_ms &&
				i + 1 < req->args_n) {
			arg = &req->arg[++i];
			if (!integer(arg->data, arg->size, &seconds))
				return not_integer;
			ret->expires_ms = seconds > 0 ?
				deadline_ms(seconds) : 0;
			if (!ret->expires_ms)
				return "ERR invalid expire time in 'set'"
					" command";
		} else {
			return "ERR syntax error";
		}
	}
	return NULL;
}

void
command_set(struct conn *c, const struct request *req, struct out *o)
{
	struct own_bytes key = key_of(&req->arg[1]);
	struct store *store = store_of(c);
	struct set_options options = { .when = ALWAYS };
	struct view view = { 0 };
	const char *wrong = set_options(req, &options);
	int r;

	if (wrong) {
		out_error(o, "%s", wrong);
		return;
	}
	if (enter(c, WRITE, &key, &view, o))
		return;
	r = store->ops->set(store, &view, key, options.when,
			key_of(&req->arg[2]), options.expires_ms);
	leave(c, &view);
	if (!r)
		out_status(o, "OK");
	else if (r == -EEXIST || r == -ENOENT)
		out_nil(o);
	else
		out_failure(o, r);
}

void
command_del(struct conn *c, const struct request *req, struct out *o)
{
	struct own_bytes key = key_of(&req->arg[1]);
	struct store *store = store_of(c);
	struct view view = { 0 };
	int64_t n = 0;
	int r = 0;

	if (enter(c, WRITE, req->args_n == 2 ? &key : NULL, &view, o))
		return;
	for (uint32_t i = 1; i < req->args_n; i++) {
		int one = store->ops->remove(store, &view,
				key_of(&req->arg[i]));

		n += !one;
		if (one && one != -ENOENT)
			r = one;
	}
	leave(c, &view);
	if (r)
		out_failure(o, r);
	else
		out_integer(o, n);
}

/* ---- INCR, APPEND, EXPIRE ---- */

/* An edit with what it was given, what it found, and its complaint. */
struct change {
	const struct arg *arg;
	int64_t n;
	const char *wrong;
};

/* Runs @fn on a key. Returns 0 if it changed something, else has replied. */
static int
change(struct conn *c, const struct request *req, enum when when, edit_fn fn,
		struct change *change, struct out *o)
{
	struct own_bytes key = key_of(&req->arg[1]);
	struct store *store = store_of(c);
	struct view view = { 0 };
	int r = enter(c, WRITE, &key, &view, o);

	if (r)
		return r;
	r = store->ops->edit(store, &view, key, when, fn, change);
	leave(c, &view);
	if (!r)
		return 0;
	if (change->wrong)
		out_error(o, "%s", change->wrong);
	else if (r == -ENOENT)
		out_integer(o, 0);
	else
		out_failure(o, r);
	return r;
}

static int
edit_incr(struct value *v, bool absent, void *arg)
{
	struct change *change = arg;
	char digits[24];
	int64_t n = 0;
	int size, r;

	if (!absent && !integer(v->bytes, v->size, &n)) {
		change->wrong = not_integer;
		return -EINVAL;
	}
	if (n == INT64_MAX) {
		change->wrong = "ERR increment or decrement would overflow";
		return -EINVAL;
	}
	change->n = n + 1;
	size = snprintf(digits, sizeof(digits), "%" PRId64, change->n);
	r = value_set(v, digits, (size_t)size);
	if (!r && absent)
		v->expires_ms = 0;
	return r;
}

void
command_incr(struct conn *c, const struct request *req, struct out *o)
{
	struct change incr = { 0 };

	if (!change(c, req, ALWAYS, edit_incr, &incr, o))
		out_integer(o, incr.n);
}

static int
edit_append(struct value *v, bool absent, void *arg)
{
	struct change *change = arg;
	int r;

	if (v->size + change->arg->size > KVD_VALUE_MAX) {
		change->wrong = "ERR string exceeds maximum allowed size"
			" (proto-max-bulk-len)";
		return -EINVAL;
	}
	r = value_append(v, change->arg->data, change->arg->size);
	if (!r && absent)
		v->expires_ms = 0;
	change->n = v->size;
	return r;
}

void
command_append(struct conn *c, const struct request *req, struct out *o)
{
	struct change append = { .arg = &req->arg[2] };

	if (!change(c, req, ALWAYS, edit_append, &append, o))
		out_integer(o, append.n);
}

static int
edit_expire(struct value *v, bool absent, void *arg)
{
	const struct change *change = arg;

	(void)absent;
	v->expires_ms = (uint64_t)change->n;
	return 0;
}

void
command_expire(struct conn *c, const struct request *req, struct out *o)
{
	struct change expire = { 0 };
	int64_t seconds;

	if (!integer(req->arg[2].data, req->arg[2].size, &seconds)) {
		out_error(o, "%s", not_integer);
		return;
	}
	expire.n = (int64_t)deadline_ms(seconds);
	if (!expire.n) {
		out_error(o, "ERR invalid expire time in 'expire' command");
		return;
	}
	if (change(c, req, IF_PRESENT, edit_expire, &expire, o))
		return;
	out_integer(o, 1);
	if (seconds <= 0)
		drop_expired(store_of(c), key_of(&req->arg[1]));
}

/* ---- SCAN ---- */

/*
 * The store's cursor is made of a key's hash, which a client that chooses keys
 * must not see: so it sees a cipher of it (XTEA, Needham and Wheeler 1997).
 */
static uint32_t cursor_key[4];

int
cursors_init(void)
{
	return getrandom(cursor_key, sizeof(cursor_key), 0) ==
		sizeof(cursor_key) ? 0 : -EIO;
}

static uint64_t
cipher(uint64_t block, bool back)
{
	uint32_t a = (uint32_t)block, b = (uint32_t)(block >> 32);
	uint32_t delta = 0x9e3779b9u, sum = back ? delta * 32 : 0;

	for (int i = 0; i < 32; i++) {
		if (back) {
			b -= ((a << 4 ^ a >> 5) + a) ^
				(sum + cursor_key[sum >> 11 & 3]);
			sum -= delta;
			a -= ((b << 4 ^ b >> 5) + b) ^
				(sum + cursor_key[sum & 3]);
		} else {
			a += ((b << 4 ^ b >> 5) + b) ^
				(sum + cursor_key[sum & 3]);
			sum += delta;
			b += ((a << 4 ^ a >> 5) + a) ^
				(sum + cursor_key[sum >> 11 & 3]);
		}
	}
	return (uint64_t)b << 32 | a;
}

/* 0 is 0, the begin and the end, in clear: what would become 0 goes on. */
static uint64_t
cursor_turn(uint64_t cursor, bool back)
{
	uint64_t turned = cursor ? cipher(cursor, back) : 0;

	return cursor && !turned ? cipher(turned, back) : turned;
}

struct scan {
	struct out *keys;
	size_t n;
};

static void
scan_visit(struct own_bytes key, const struct value *value, void *arg)
{
	struct scan *scan = arg;

	if (value_expired(value))
		return;
	out_bulk(scan->keys, key.data, key.size);
	scan->n++;
}

/* As Redis: any number is a cursor. */
static bool
scan_cursor(const struct arg *arg, uint64_t *ret)
{
	char digits[24], *end;

	if (!arg->size || arg->size >= sizeof(digits) || *arg->data < '0' ||
	    *arg->data > '9')
		return false;
	memcpy(digits, arg->data, arg->size);
	digits[arg->size] = '\0';
	errno = 0;
	*ret = strtoull(digits, &end, 10);
	return !errno && !*end;
}

static void
reply_scan(struct conn *c, uint64_t cursor, uint64_t count,
		struct out *keys, struct out *o)
{
	struct store *store = store_of(c);
	struct scan scan = { .keys = keys };
	struct view view = { 0 };
	char digits[24];
	int r = enter(c, READ, NULL, &view, o);

	if (r)
		return;
	cursor = cursor_turn(cursor, true);
	r = store->ops->scan(store, &view, &cursor, count, scan_visit, &scan);
	leave(c, &view);
	if (r) {
		out_failure(o, r);
		return;
	}
	snprintf(digits, sizeof(digits), "%" PRIu64,
			cursor_turn(cursor, false));
	out_array(o, 2);
	out_text(o, digits);
	out_array(o, scan.n);
	out_append(o, keys);
}

void
command_scan(struct conn *c, const struct request *req, struct out *o)
{
	int64_t count = SCAN_DEFAULT;
	struct out *keys;
	uint64_t cursor;

	if (!scan_cursor(&req->arg[1], &cursor)) {
		out_error(o, "ERR invalid cursor");
		return;
	}
	for (uint32_t i = 2; i < req->args_n; i += 2) {
		const struct arg *value = &req->arg[i + 1];

		if (i + 1 == req->args_n || !arg_is(&req->arg[i], "COUNT")) {
			out_error(o, "ERR syntax error");
			return;
		}
		if (!integer(value->data, value->size, &count)) {
			out_error(o, "%s", not_integer);
			return;
		}
		if (count < 1) {
			out_error(o, "ERR syntax error");
			return;
		}
	}
	keys = out_create();
	if (!keys) {
		out_failure(o, -ENOMEM);
		return;
	}
	reply_scan(c, cursor, count < SCAN_MAX ? (uint64_t)count : SCAN_MAX,
			keys, o);
	out_destroy(keys);
}

/* ---- all of it ---- */

void
command_dbsize(struct conn *c, const struct request *req, struct out *o)
{
	struct view view = { 0 };
	uint64_t n;

	(void)req;
	if (enter(c, READ, NULL, &view, o))
		return;
	n = store_of(c)->ops->count(store_of(c), &view);
	leave(c, &view);
	out_integer(o, (int64_t)n);
}

void
command_flushall(struct conn *c, const struct request *req, struct out *o)
{
	struct view view = { 0 };
	int r;

	(void)req;
	if (enter(c, WRITE, NULL, &view, o))
		return;
	r = store_of(c)->ops->clear(store_of(c), &view);
	leave(c, &view);
	if (r)
		out_failure(o, r);
	else
		out_status(o, "OK");
}

/* ---- the timer ---- */

struct expired {
	struct {
		char *data;
		size_t size;
	} key[EXPIRE_DROP];
	size_t n;
};

static void
expired_visit(struct own_bytes key, const struct value *value, void *arg)
{
	struct expired *expired = arg;
	char *copy;

	if (!value_expired(value) || expired->n == EXPIRE_DROP)
		return;
	copy = malloc(key.size ? key.size : 1);
	if (!copy)
		return;
	memcpy(copy, key.data, key.size);
	expired->key[expired->n].data = copy;
	expired->key[expired->n++].size = key.size;
}

size_t
keys_expire(struct store *store, uint64_t *cursor)
{
	struct expired expired = { .n = 0 };
	struct view view = { 0 };

	store->ops->request_begin(store);
	if (!store->ops->enter(store, READ, NULL, &view)) {
		(void)!store->ops->scan(store, &view, cursor, EXPIRE_SCAN,
				expired_visit, &expired);
		store->ops->leave(store, &view);
	}
	for (size_t i = 0; i < expired.n; i++) {
		drop_expired(store, own_bytes(expired.key[i].data,
					expired.key[i].size));
		free(expired.key[i].data);
	}
	store->ops->request_end(store);
	return expired.n;
}
