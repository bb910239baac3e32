/* SPDX-License-Identifier: MIT */
/*
 * kvd.h - a key-value server in the Redis protocol
 *
 * Several event loops, each a thread with a listening socket of its own
 * (SO_REUSEPORT), serve one data set, which RELOAD or SIGHUP replaces as a
 * whole while clients read. What threads share is the store (store.h), the
 * configuration (an exclusive cell), and counters.
 *
 *   main.c     options, start, signals, stop
 *   loop.c     connections: reading, running requests, writing
 *   request.c  bytes to requests          reply.c   replies to bytes
 *   command.c  what a request does        config.c  CONFIG and its cell
 *   keys.c     the commands on keys       store_*.c how threads share them
 *   data.c     data files                 table.c   the stores' with locks
 */
#ifndef KVD_H
#define KVD_H

#include <pthread.h>
#include <stdbool.h>
#include <uv.h>
#include <own/own.h>

#include "reply.h"
#include "request.h"
#include "store.h"

#define KVD_VERSION		"0.1.0"
#define KVD_LOOPS_MAX		64u
#define KVD_CLIENTS_MAX		65536u
#define KVD_INPUT_BYTES		65536u
/* A batch pauses at this many reply bytes, until they are written. */
#define KVD_BATCH_BYTES		((size_t)256 * 1024)
/* One reply is refused above this, before it is built. */
#define KVD_REPLY_BYTES		((size_t)64 * 1024 * 1024)
/* An ended connection reads on this long, so that its last reply arrives. */
#define KVD_LINGER_MS		1000u
#define KVD_LINGER_BYTES	((size_t)4 * 1024 * 1024)
#define KVD_CLIENT_NAME_MAX	63

struct config {
	char data[KVD_NAME_MAX + 1];	/* file in the server's directory */
	uint32_t clients_max;
	uint32_t write_timeout_ms;	/* for a client that does not read */
};

struct loop;

struct server {
	struct own_cell config;
	struct store *store;
	const char *dir_name, *bind;
	uint16_t port;
	uint32_t loops_n;
	struct loop *loop[KVD_LOOPS_MAX];
	uint64_t start_ns;
	pthread_mutex_t reload_mutex;	/* a later reload sees a later file */
	/* shared, relaxed: counters */
	uint64_t clients;
	uint64_t last_id;
	uint64_t reloads;
	uint64_t reloads_failed;
};

/* Counters are written by the loop's thread and read by any: relaxed. */
struct loop {
	struct server *server;
	uv_loop_t uv;
	uv_tcp_t listener;
	uv_async_t stop;
	uv_timer_t timer;
	uv_thread_t thread;
	uint32_t index;
	uint64_t expire_cursor;
	struct out *out;	/* of the batch being run */
	struct request request;
	char input[KVD_INPUT_BYTES];
	pthread_mutex_t lock;	/* the list, and names in it */
	struct conn *conns;
	uint64_t requests;
	uint64_t accepted;
	uint64_t refused;
	uint64_t protocol_errors;
};

struct conn {
	uv_tcp_t tcp;
	uv_write_t write;
	struct loop *loop;
	struct conn *next, **link;
	uint64_t id;
	char peer[64];
	char name[KVD_CLIENT_NAME_MAX + 1];
	struct parser parser;
	char *rest;		/* input to be run when there is room */
	size_t rest_at, rest_n;
	struct out *writing;
	size_t written;		/* of it */
	size_t write_n;		/* under way */
	uint64_t since_ms;	/* when writing, or lingering, last moved */
	struct reload *reload;	/* that the next reply waits for */
	size_t lingered;
	bool last;		/* nothing is run any more: flush and close */
	bool lingering;
	bool closing;
	bool closed;
};

/* One RELOAD or SIGHUP on its way through the thread pool. */
struct reload {
	uv_work_t work;
	struct server *server;
	void *arg;		/* of whoever asked */
	bool finished;
	int r;
	char why[320];
};

static inline uint64_t
count(uint64_t *counter, uint64_t n)
{
	/* relaxed: a figure, nothing is ordered by it */
	return own__add(counter, n, OWN__RELAXED) + n;
}

static inline uint64_t
counted(const uint64_t *counter)
{
	/* relaxed: a figure, nothing is ordered by it */
	return own__load(counter, OWN__RELAXED);
}

/* config.c */
int config_init(struct server *server, const struct config *initial);
void config_fini(struct server *server);
int config_now(struct server *server, struct config *ret);
void config_command(struct server *server, const struct request *req,
		struct out *o);

/* main.c: runs @after on @uv's thread when the data set was read again */
int reload_start(struct server *server, uv_loop_t *uv, struct reload *reload,
		uv_after_work_cb after);

/* loop.c */
int loop_create(struct server *server, uint32_t index, int fd,
		struct loop **ret);
int loop_start(struct loop *loop);
/* Any thread. Ends connections and lets the thread finish. */
void loop_stop(struct loop *loop);
/* Waits for the thread. */
void loop_destroy(struct loop *loop);
/* From within a command: the connection waits for the outcome. */
int conn_reload(struct conn *c);

/* command.c */
void command_run(struct conn *c, const struct request *req, struct out *o);

/* keys.c */
void command_get(struct conn *c, const struct request *req, struct out *o);
void command_mget(struct conn *c, const struct request *req, struct out *o);
void command_exists(struct conn *c, const struct request *req, struct out *o);
void command_ttl(struct conn *c, const struct request *req, struct out *o);
void command_set(struct conn *c, const struct request *req, struct out *o);
void command_del(struct conn *c, const struct request *req, struct out *o);
void command_incr(struct conn *c, const struct request *req, struct out *o);
void command_append(struct conn *c, const struct request *req, struct out *o);
void command_expire(struct conn *c, const struct request *req, struct out *o);
void command_scan(struct conn *c, const struct request *req, struct out *o);
void command_dbsize(struct conn *c, const struct request *req, struct out *o);
void command_flushall(struct conn *c, const struct request *req,
		struct out *o);
int cursors_init(void);
/* Drops some keys whose time has passed; how many. Any thread. */
size_t keys_expire(struct store *store, uint64_t *cursor);

/* Whether an argument is @text, whatever the case. */
bool arg_is(const struct arg *arg, const char *text);

#endif
