/* SPDX-License-Identifier: MIT */
/*
 * main.c - options, start, signals, stop
 *
 * The main thread runs a loop of its own for signals, and takes on what would
 * stall clients: a data set is read in the thread pool, and replaced ones are
 * freed from here. SIGHUP reads the data set again, SIGUSR1 writes to stderr
 * who holds what, SIGTERM and SIGINT end the server.
 */
#include <getopt.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvd.h"

#define RECLAIM_EVERY_MS	50u
#define RECLAIM_BUDGET_NS	1000000u

struct main_loop {
	struct server server;
	uv_loop_t uv;
	uv_signal_t hup, term, intr, usr1;
	uv_timer_t reclaim;
	struct reload reload;
	bool reloading, again, stopping;
};

static const struct store_ops *const stores[] = {
	&store_own, &store_sharded, &store_rwlock, &store_mutex, &store_gil,
};

static const char help[] =
"kvd - a key-value server in the Redis protocol\n"
"\n"
"  --data FILE      the data set, as mkdata writes it (none)\n"
"  --store NAME     own, sharded, rwlock, mutex, gil: how threads share (own)\n"
"  --policy NAME    exclusive or versioned: of own's entries (versioned)\n"
"  --threads N      event loops (number of cores)\n"
"  --port N         0 takes any free one (6380)\n"
"  --bind ADDRESS   (127.0.0.1; there is no authentication)\n"
"  --maxclients N   (10000)\n"
"  --help\n"
"\n"
"RELOAD and SIGHUP read the data set again. CONFIG SET data NAME makes that\n"
"another file of the same directory.\n";

/* ---- the data set, again ---- */

/* In the thread pool; one at a time, so that the last asked is the last. */
static void
reload_work(uv_work_t *work)
{
	struct reload *reload = work->data;
	struct server *s = reload->server;
	struct config config;
	struct data next = { 0 };
	int r;

	pthread_mutex_lock(&s->reload_mutex);
	r = config_now(s, &config);
	if (r)
		snprintf(reload->why, sizeof(reload->why), "%s", strerror(-r));
	if (!r && !*config.data) {
		r = -ENOENT;
		snprintf(reload->why, sizeof(reload->why), "no data file");
	}
	if (!r)
		r = data_load(s->dir_name, config.data, &next, reload->why,
				sizeof(reload->why));
	if (!r) {
		r = s->store->ops->load(s->store, &next);
		if (r)
			snprintf(reload->why, sizeof(reload->why), "%s",
					strerror(-r));
		data_fini(&next);
	}
	pthread_mutex_unlock(&s->reload_mutex);
	count(r ? &s->reloads_failed : &s->reloads, 1);
	reload->r = r;
}

int
reload_start(struct server *server, uv_loop_t *uv, struct reload *reload,
		uv_after_work_cb after)
{
	reload->server = server;
	reload->work.data = reload;
	reload->finished = false;
	reload->r = 0;
	return uv_queue_work(uv, &reload->work, reload_work, after);
}

static void
on_hup_reloaded(uv_work_t *work, int status)
{
	struct reload *reload = work->data;
	struct main_loop *m = reload->arg;

	m->reloading = false;
	if (status || reload->r)
		fprintf(stderr, "kvd: reload failed, the data set stays: %s\n",
				status ? uv_strerror(status) : reload->why);
	if (m->again && !m->stopping) {
		m->again = false;
		m->reloading = !reload_start(&m->server, &m->uv, reload,
				on_hup_reloaded);
	}
}

/* ---- the main loop ---- */

static void
on_signal(uv_signal_t *handle, int signum)
{
	struct main_loop *m = handle->data;

	if (signum == SIGUSR1) {
		own_dump(2);
	} else if (signum == SIGHUP && m->reloading) {
		m->again = true;
	} else if (signum == SIGHUP) {
		m->reload.arg = m;
		m->reloading = !reload_start(&m->server, &m->uv, &m->reload,
				on_hup_reloaded);
	} else if (!m->stopping) {
		m->stopping = true;
		for (uint32_t i = 0; i < m->server.loops_n; i++)
			loop_stop(m->server.loop[i]);
		uv_close((uv_handle_t *)&m->hup, NULL);
		uv_close((uv_handle_t *)&m->term, NULL);
		uv_close((uv_handle_t *)&m->intr, NULL);
		uv_close((uv_handle_t *)&m->usr1, NULL);
		uv_close((uv_handle_t *)&m->reclaim, NULL);
	}
}

/* A replaced map is freed when no request holds it: here, not on a loop. */
static void
on_reclaim(uv_timer_t *timer)
{
	struct own_reclaim_stats stats;

	(void)timer;
	own_reclaim_stats(&stats);
	if (stats.pending_objects)
		own_reclaim(RECLAIM_BUDGET_NS);
}

static int
watch(struct main_loop *m, uv_signal_t *handle, int signum)
{
	int r = uv_signal_init(&m->uv, handle);

	handle->data = m;
	return r ? r : uv_signal_start(handle, on_signal, signum);
}

static int
main_loop_init(struct main_loop *m)
{
	int r = uv_loop_init(&m->uv);

	if (!r)
		r = watch(m, &m->hup, SIGHUP);
	if (!r)
		r = watch(m, &m->term, SIGTERM);
	if (!r)
		r = watch(m, &m->intr, SIGINT);
	if (!r)
		r = watch(m, &m->usr1, SIGUSR1);
	if (!r)
		r = uv_timer_init(&m->uv, &m->reclaim);
	if (!r)
		r = uv_timer_start(&m->reclaim, on_reclaim, RECLAIM_EVERY_MS,
				RECLAIM_EVERY_MS);
	return r;
}

/* ---- start ---- */

static int
usage(const char *what, const char *value)
{
	fprintf(stderr, "kvd: %s%s%s; see kvd --help\n", what,
			value ? ": " : "", value ? value : "");
	return 2;
}

/* A socket on the server's address; the first one settles the port. */
static int
listen_socket(struct server *s, int *ret)
{
	struct sockaddr_storage address = { 0 };
	struct sockaddr *sa = (struct sockaddr *)&address;
	struct sockaddr_in *in = (struct sockaddr_in *)&address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
	socklen_t size = sizeof(*in);
	int fd, on = 1;

	if (uv_ip4_addr(s->bind, s->port, in)) {
		if (uv_ip6_addr(s->bind, s->port, in6))
			return -EINVAL;
		size = sizeof(*in6);
	}
	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
	    bind(fd, sa, size) || getsockname(fd, sa, &size)) {
		int r = -errno;

		close(fd);
		return r;
	}
	s->port = ntohs(sa->sa_family == AF_INET6 ? in6->sin6_port :
			in->sin_port);
	*ret = fd;
	return 0;
}

static int
open_data(struct server *s, const char *path, struct config *config)
{
	struct data first = { 0 };
	char why[320] = "";
	char *copy = strdup(path), *name = strdup(path);
	int r = -ENOMEM;

	if (copy && name) {
		s->dir_name = strdup(dirname(copy));
		snprintf(config->data, sizeof(config->data), "%s",
				basename(name));
	}
	free(copy);
	free(name);
	if (!s->dir_name)
		return r;
	if (!*path) {
		*config->data = '\0';
		return 0;
	}
	r = data_load(s->dir_name, config->data, &first, why, sizeof(why));
	if (!r)
		r = s->store->ops->load(s->store, &first);
	if (r)
		fprintf(stderr, "kvd: %s\n", *why ? why : strerror(-r));
	data_fini(&first);
	return r;
}

static int
start_loops(struct server *s)
{
	int fd = -1, r = 0;

	for (uint32_t i = 0; !r && i < s->loops_n; i++) {
		r = listen_socket(s, &fd);
		if (!r)
			r = loop_create(s, i, fd, &s->loop[i]);
	}
	for (uint32_t i = 0; !r && i < s->loops_n; i++)
		r = loop_start(s->loop[i]);
	if (r)
		fprintf(stderr, "kvd: cannot listen on %s port %u: %s\n",
				s->bind, s->port, strerror(-r));
	return r;
}

static int
number(const char *text, long min, long max, long *ret)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (!*text || *end || n < min || n > max)
		return -EINVAL;
	*ret = n;
	return 0;
}

struct options {
	const char *data;
	const struct store_ops *ops;
	uint32_t policy;
	struct config config;
};

/* 0 go on, 1 all done, 2 wrong use */
static int
parse(int argc, char **argv, struct server *s, struct options *o)
{
	static const struct option longs[] = {
		{ "bind", required_argument, NULL, 'b' },
		{ "data", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ "maxclients", required_argument, NULL, 'm' },
		{ "policy", required_argument, NULL, 'P' },
		{ "port", required_argument, NULL, 'p' },
		{ "store", required_argument, NULL, 's' },
		{ "threads", required_argument, NULL, 't' },
		{ 0 },
	};
	long n;
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1)
		switch (c) {
		case 'b':
			s->bind = optarg;
			break;
		case 'd':
			o->data = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return 1;
		case 'm':
			if (number(optarg, 1, KVD_CLIENTS_MAX, &n))
				return usage("bad --maxclients", optarg);
			o->config.clients_max = (uint32_t)n;
			break;
		case 'P':
			if (strcmp(optarg, "exclusive") != 0 &&
			    strcmp(optarg, "versioned") != 0)
				return usage("no such --policy", optarg);
			o->policy = *optarg == 'e' ? OWN_EXCLUSIVE :
				OWN_VERSIONED;
			break;
		case 'p':
			if (number(optarg, 0, 65535, &n))
				return usage("bad --port", optarg);
			s->port = (uint16_t)n;
			break;
		case 's':
			o->ops = NULL;
			for (size_t i = 0; i < 5; i++)
				if (!strcmp(stores[i]->name, optarg))
					o->ops = stores[i];
			if (!o->ops)
				return usage("no such --store", optarg);
			break;
		case 't':
			if (number(optarg, 1, KVD_LOOPS_MAX, &n))
				return usage("bad --threads", optarg);
			s->loops_n = (uint32_t)n;
			break;
		default:
			return 2;
		}
	if (optind < argc)
		return usage("unexpected argument", argv[optind]);
	return 0;
}

/* A descriptor each for as many clients as may come, if the system lets us. */
static void
raise_descriptors(uint32_t clients_max)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t)clients_max + 256;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int
serve(struct main_loop *m)
{
	struct server *s = &m->server;
	int r = main_loop_init(m);

	if (r) {
		fprintf(stderr, "kvd: %s\n", uv_strerror(r));
		return r;
	}
	r = start_loops(s);
	if (r)
		return r;
	printf("kvd: listening on %s port %u, %u threads, store %s\n",
			s->bind, s->port, s->loops_n, s->store->ops->name);
	fflush(stdout);
	if (strncmp(s->bind, "127.", 4) != 0 && strcmp(s->bind, "::1") != 0)
		fprintf(stderr, "kvd: warning: open to other machines, and"
				" there is no authentication\n");
	uv_run(&m->uv, UV_RUN_DEFAULT);
	for (uint32_t i = 0; i < s->loops_n; i++)
		loop_destroy(s->loop[i]);
	uv_loop_close(&m->uv);
	s->store->ops->destroy(s->store);
	config_fini(s);
	pthread_mutex_destroy(&s->reload_mutex);
	free((char *)(uintptr_t)s->dir_name);
	return 0;
}

int
main(int argc, char **argv)
{
	static struct main_loop m;
	struct server *s = &m.server;
	struct options o = {
		.data = "", .ops = &store_own, .policy = OWN_VERSIONED,
		.config = { .clients_max = 10000, .write_timeout_ms = 10000 },
	};
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int r;

	s->bind = "127.0.0.1";
	s->port = 6380;
	s->loops_n = cores < 1 ? 1 : cores > (long)KVD_LOOPS_MAX ?
		KVD_LOOPS_MAX : (uint32_t)cores;
	r = parse(argc, argv, s, &o);
	if (r)
		return r == 1 ? 0 : r;
	signal(SIGPIPE, SIG_IGN);
	raise_descriptors(o.config.clients_max);
	s->start_ns = own_now_ns();
	pthread_mutex_init(&s->reload_mutex, NULL);
	r = cursors_init();
	if (!r)
		r = o.ops->create(o.policy, &s->store);
	if (r) {
		fprintf(stderr, "kvd: store %s: %s\n", o.ops->name,
				strerror(-r));
		return 1;
	}
	if (open_data(s, o.data, &o.config))
		return 1;
	r = config_init(s, &o.config);
	if (r) {
		fprintf(stderr, "kvd: configuration: %s\n", strerror(-r));
		return 1;
	}
	return serve(&m) ? 1 : 0;
}
