/* SPDX-License-Identifier: MIT */
/*
 * loop.c - connections of one event loop
 *
 * A turn runs what was read until it is used up, a reload must be waited for,
 * or KVD_BATCH_BYTES of replies have gathered; then it writes all replies at
 * once. While a write is under way nothing is read or run, so a client that
 * does not read its replies costs one batch and one input buffer, and is
 * closed after write-timeout-ms. Everything here but loop_create(),
 * loop_stop() and loop_destroy() runs on the loop's own thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "kvd.h"

static void conn_turn(struct conn *c, const char *data, size_t size);

static void
must(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "kvd: %s\n", what);
	abort();
}

/* ---- ending ---- */

static void
conn_free(struct conn *c)
{
	free(c->reload);
	free(c);
}

static void
on_closed(uv_handle_t *handle)
{
	struct conn *c = handle->data;

	count(&c->loop->server->clients, (uint64_t)-1);
	parser_fini(&c->parser);
	free(c->rest);
	c->rest = NULL;
	c->closed = true;
	if (!c->reload || c->reload->finished)
		conn_free(c);
}

static void
conn_close(struct conn *c)
{
	struct loop *loop = c->loop;

	if (c->closing)
		return;
	c->closing = true;
	pthread_mutex_lock(&loop->lock);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	pthread_mutex_unlock(&loop->lock);
	uv_close((uv_handle_t *)&c->tcp, on_closed);
}

/*
 * Closing with input unread resets the connection, and the client may lose
 * the reply that says why. So say that no more comes, and read until it ends.
 */
static void
conn_linger(struct conn *c)
{
	uv_os_fd_t fd;

	c->lingering = true;
	c->since_ms = uv_now(&c->loop->uv);
	if (uv_fileno((uv_handle_t *)&c->tcp, &fd) ||
	    shutdown(fd, SHUT_WR) != 0)
		conn_close(c);
}

/* ---- writing ---- */

static struct out *
out_must(void)
{
	struct out *o = out_create();

	must(o != NULL, "no memory for replies");
	return o;
}

static void on_written(uv_write_t *write, int status);

/*
 * Goes on with c->writing. With @later the callback comes on a later turn of
 * the loop even if the socket takes everything, so that others get theirs.
 * Returns 1 when all is written, 0 when on_written() follows, or an error.
 */
static int
conn_write(struct conn *c, bool later)
{
	uv_buf_t bufs[64];
	unsigned n;
	int r;

	while (c->written < c->writing->bytes) {
		n = out_vector(c->writing, c->written, bufs, 64);
		r = later ? UV_EAGAIN : uv_try_write(
				(uv_stream_t *)&c->tcp, bufs, n);
		if (r >= 0) {
			c->written += (size_t)r;
			continue;
		}
		if (r != UV_EAGAIN)
			return r;
		c->write_n = 0;
		for (unsigned i = 0; i < n; i++)
			c->write_n += bufs[i].len;
		c->since_ms = uv_now(&c->loop->uv);
		return uv_write(&c->write, (uv_stream_t *)&c->tcp, bufs, n,
				on_written);
	}
	return 1;
}

/* The same with the replies of the turn that ends; empties loop->out. */
static int
conn_flush(struct conn *c)
{
	struct loop *loop = c->loop;
	struct out *o = loop->out;
	int r;

	c->writing = o;
	c->written = 0;
	r = o->failed ? o->failed : conn_write(c, c->rest != NULL && o->bytes);
	if (r == 0) {
		loop->out = out_must();
		return 0;
	}
	c->writing = NULL;
	out_reset(o);
	return r;
}

static void
on_written(uv_write_t *write, int status)
{
	struct conn *c = write->data;
	int r = status;

	if (!r && !c->closing) {
		c->written += c->write_n;
		r = conn_write(c, false);
		if (r == 0)
			return;
	}
	out_destroy(c->writing);
	c->writing = NULL;
	if (r < 0)
		conn_close(c);
	else if (!c->closing && (!c->reload || c->reload->finished))
		conn_turn(c, c->rest ? c->rest + c->rest_at : NULL,
				c->rest_n);
}

/* ---- running ---- */

static void
on_reloaded(uv_work_t *work, int status)
{
	struct reload *reload = work->data;
	struct conn *c = reload->arg;

	if (status)
		reload->r = status;
	reload->finished = true;
	if (c->closed)
		conn_free(c);
	else if (!c->closing && !c->writing)
		conn_turn(c, c->rest ? c->rest + c->rest_at : NULL,
				c->rest_n);
}

int
conn_reload(struct conn *c)
{
	struct reload *reload = calloc(1, sizeof(*reload));
	int r;

	if (!reload)
		return -ENOMEM;
	reload->arg = c;
	r = reload_start(c->loop->server, &c->loop->uv, reload, on_reloaded);
	if (r) {
		free(reload);
		return r;
	}
	c->reload = reload;
	return 0;
}

/* Takes what is left of a turn's input aside; NULL, 0 forgets it. */
static int
conn_keep(struct conn *c, const char *data, size_t size)
{
	char *rest;

	if (size && c->rest) {
		c->rest_at = (size_t)(data - c->rest);
		c->rest_n = size;
		return 0;
	}
	rest = size ? malloc(size) : NULL;
	if (size && !rest)
		return -ENOMEM;
	if (rest)
		memcpy(rest, data, size);
	free(c->rest);
	c->rest = rest;
	c->rest_at = 0;
	c->rest_n = size;
	return 0;
}

/* Returns how much of @data was used. */
static size_t
conn_run(struct conn *c, const char *data, size_t size)
{
	struct loop *loop = c->loop;
	struct store *store = loop->server->store;
	struct out *o = loop->out;
	size_t used = 0, n;
	int r;

	if (c->reload) {
		if (c->reload->r)
			out_error(o, "ERR reload failed, the data set "
					"stays: %s",
					c->reload->why);
		else
			out_status(o, "OK");
		free(c->reload);
		c->reload = NULL;
	}
	while (used < size && !c->last && !c->reload && !o->failed &&
			o->bytes < KVD_BATCH_BYTES) {
		store->ops->request_begin(store);
		r = parser_feed(&c->parser, data + used, size - used,
				&loop->request, &n);
		used += n;
		if (r < 0) {
			count(&loop->protocol_errors, 1);
			if (r == -EPROTO)
				out_error(o, "ERR Protocol error: %s",
						c->parser.why);
			c->last = true;
		} else if (r && loop->request.args_n) {
			count(&loop->requests, 1);
			command_run(c, &loop->request, o);
		}
		store->ops->request_end(store);
	}
	return c->last ? size : used;
}

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	struct conn *c = handle->data;

	(void)suggested;
	*ret = uv_buf_init(c->loop->input, sizeof(c->loop->input));
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct conn *c = stream->data;

	if (n < 0) {
		conn_close(c);
	} else if (c->lingering) {
		c->lingered += (size_t)n;
		if (c->lingered > KVD_LINGER_BYTES)
			conn_close(c);
	} else if (n > 0) {
		conn_turn(c, buf->base, (size_t)n);
	}
}

static void
conn_turn(struct conn *c, const char *data, size_t size)
{
	uv_stream_t *stream = (uv_stream_t *)&c->tcp;
	size_t used = conn_run(c, data, size);
	int r = conn_keep(c, used < size ? data + used : NULL, size - used);

	if (r)
		c->loop->out->failed = r;
	r = conn_flush(c);
	if (r < 0) {
		conn_close(c);
		return;
	}
	if (r > 0 && c->last)
		conn_linger(c);
	if (c->closing)
		return;
	if (r == 0 || c->reload)
		uv_read_stop(stream);
	else
		uv_read_start(stream, on_alloc, on_read);
}

/* ---- arriving ---- */

static void
conn_peer(struct conn *c)
{
	struct sockaddr_storage peer;
	int size = sizeof(peer), port;
	char host[46] = "?";

	memset(&peer, 0, sizeof(peer));
	uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&peer, &size);
	if (peer.ss_family == AF_INET6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&peer;

		uv_ip6_name(in6, host, sizeof(host));
		port = ntohs(in6->sin6_port);
	} else {
		struct sockaddr_in *in = (struct sockaddr_in *)&peer;

		uv_ip4_name(in, host, sizeof(host));
		port = ntohs(in->sin_port);
	}
	snprintf(c->peer, sizeof(c->peer), "%s:%d", host, port);
}

static void
on_connection(uv_stream_t *listener, int status)
{
	static const char full[] = "-ERR max number of clients reached\r\n";
	struct loop *loop = listener->data;
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)full, sizeof(full) - 1);
	struct config config;
	struct conn *c;
	uint64_t clients;

	if (status < 0)
		return;
	c = calloc(1, sizeof(*c));
	must(c != NULL, "no memory for a connection");
	c->loop = loop;
	c->tcp.data = c;
	c->write.data = c;
	c->id = count(&loop->server->last_id, 1);
	must(!uv_tcp_init(&loop->uv, &c->tcp), "cannot make a connection");
	clients = count(&loop->server->clients, 1);
	pthread_mutex_lock(&loop->lock);
	c->next = loop->conns;
	c->link = &loop->conns;
	if (c->next)
		c->next->link = &c->next;
	loop->conns = c;
	pthread_mutex_unlock(&loop->lock);
	if (uv_accept(listener, (uv_stream_t *)&c->tcp) ||
	    config_now(loop->server, &config) || parser_init(&c->parser)) {
		conn_close(c);
		return;
	}
	if (clients > config.clients_max) {
		count(&loop->refused, 1);
		uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
		conn_close(c);
		return;
	}
	count(&loop->accepted, 1);
	pthread_mutex_lock(&loop->lock);
	conn_peer(c);
	pthread_mutex_unlock(&loop->lock);
	uv_tcp_nodelay(&c->tcp, 1);
	if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read))
		conn_close(c);
}

/* ---- the loop ---- */

/*
 * Ends who does not read its replies, and who lingers; one loop looks for keys
 * whose time has passed.
 */
static void
on_timer(uv_timer_t *timer)
{
	struct loop *loop = timer->data;
	struct config config;
	struct conn *next;
	uint64_t age_ms;

	if (loop->index == 0)
		keys_expire(loop->server->store, &loop->expire_cursor);
	if (config_now(loop->server, &config))
		return;
	for (struct conn *c = loop->conns; c; c = next) {
		next = c->next;
		age_ms = uv_now(&loop->uv) - c->since_ms;
		if (c->writing ? age_ms > config.write_timeout_ms :
		    c->lingering && age_ms > KVD_LINGER_MS)
			conn_close(c);
	}
}

static void
on_stop(uv_async_t *stop)
{
	struct loop *loop = stop->data;

	while (loop->conns)
		conn_close(loop->conns);
	uv_close((uv_handle_t *)&loop->timer, NULL);
	uv_close((uv_handle_t *)&loop->listener, NULL);
	uv_close((uv_handle_t *)&loop->stop, NULL);
}

/* Right before the loop waits: a handle held then keeps others waiting. */
static void
on_wait(uv_prepare_t *prepare)
{
	(void)prepare;
	(void)own_idle_check(OWN_IDLE_REPORT);
}

static void
run(void *arg)
{
	struct loop *loop = arg;
	uv_prepare_t prepare;

	must(!own_thread_register(), "no memory for a thread");
	must(!uv_prepare_init(&loop->uv, &prepare) &&
	     !uv_prepare_start(&prepare, on_wait), "cannot watch a loop");
	/* does not keep the loop running */
	uv_unref((uv_handle_t *)&prepare);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&prepare, NULL);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
}

int
loop_create(struct server *server, uint32_t index, int fd, struct loop **ret)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	must(loop != NULL, "no memory for a loop");
	loop->server = server;
	loop->index = index;
	loop->out = out_must();
	must(!pthread_mutex_init(&loop->lock, NULL), "cannot make a mutex");
	must(!uv_loop_init(&loop->uv) &&
	     !uv_tcp_init(&loop->uv, &loop->listener) &&
	     !uv_async_init(&loop->uv, &loop->stop, on_stop) &&
	     !uv_timer_init(&loop->uv, &loop->timer) &&
	     !uv_timer_start(&loop->timer, on_timer, 250, 250),
	     "cannot make an event loop");
	loop->listener.data = loop->stop.data = loop->timer.data = loop;
	*ret = loop;
	return uv_tcp_open(&loop->listener, fd);
}

int
loop_start(struct loop *loop)
{
	int r = uv_listen((uv_stream_t *)&loop->listener, 511, on_connection);

	return r ? r : uv_thread_create(&loop->thread, run, loop);
}

void
loop_stop(struct loop *loop)
{
	uv_async_send(&loop->stop);
}

void
loop_destroy(struct loop *loop)
{
	uv_thread_join(&loop->thread);
	must(!uv_loop_close(&loop->uv), "a loop ended with open handles");
	pthread_mutex_destroy(&loop->lock);
	out_destroy(loop->out);
	request_fini(&loop->request);
	free(loop);
}
