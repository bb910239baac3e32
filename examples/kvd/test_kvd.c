/* SPDX-License-Identifier: MIT */
/*
 * test_kvd.c - kvd from outside: every reply to the byte, and bad input
 *
 * Runs all cases for each store, against a server of its own, and ends that by
 * SIGTERM: it must exit with 0, which under a sanitizer says that nothing was
 * reported. KVD names another server than the one built beside this, KVD_STORE
 * one store.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test_support.h"

static const char *store;
static int bad_ends;	/* cmocka does not count a failed teardown */

static int
group_setup(void **state)
{
	(void)state;
	server_start(store);
	return 0;
}

static int
group_teardown(void **state)
{
	(void)state;
	if (!server_stop())
		return 0;
	bad_ends++;
	return -1;
}

/* ---- cases ---- */

static void
every_command_replies_to_the_byte(void **state)
{
	static const struct {
		const char *request, *reply;
	} rows[] = {
		{ "PING", "+PONG\r\n" },
		{ "ping hello", "$5\r\nhello\r\n" },
		{ "PING a b", "-ERR wrong number of arguments for 'ping'"
			" command\r\n" },
		{ "ECHO hello", "$5\r\nhello\r\n" },
		{ "ECHO", "-ERR wrong number of arguments for 'echo'"
			" command\r\n" },
		{ "GET k007", "$14\r\nvalue 007 of A\r\n" },
		{ "GET empty", "$0\r\n\r\n" },
		{ "GET k07", "$-1\r\n" },
		{ "GET k0070", "$-1\r\n" },
		{ "GET \"a\\x00\\r\\n b\"", "$7\r\nstrange\r\n" },
		{ "GET \"a\\x00\\r\\n c\"", "$-1\r\n" },
		{ "GET a b", "-ERR wrong number of arguments for 'get'"
			" command\r\n" },
		{ "MGET k000 none k499", "*3\r\n$14\r\nvalue 000 of A\r\n"
			"$-1\r\n$14\r\nvalue 499 of A\r\n" },
		{ "MGET", "-ERR wrong number of arguments for 'mget'"
			" command\r\n" },
		{ "EXISTS k000 k000 none big", ":3\r\n" },
		{ "DBSIZE", ":503\r\n" },
		{ "COMMAND COUNT", ":21\r\n" },
		{ "COMMAND DOCS", "*0\r\n" },
		{ "COMMAND INFO get none", "*2\r\n*6\r\n$3\r\nget\r\n:2\r\n"
			"*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n$-1\r\n" },
		{ "COMMAND x", "-ERR COMMAND takes nothing, COUNT, LIST, DOCS"
			" or INFO <name>...\r\n" },
		{ "CLIENT GETNAME", "$-1\r\n" },
		{ "CLIENT SETNAME me", "+OK\r\n" },
		{ "CLIENT GETNAME", "$2\r\nme\r\n" },
		{ "CLIENT SETNAME \"a b\"", "-ERR Client names have at most 63"
			" characters, no spaces, newlines or special ones"
			"\r\n" },
		{ "CLIENT SETINFO lib-name x", "+OK\r\n" },
		{ "CLIENT KILL", "-ERR CLIENT takes ID, GETNAME, SETNAME"
			" <name>, SETINFO <name> <value> or LIST\r\n" },
		{ "CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n" },
		{ "CONFIG GET appendonly", "*2\r\n$10\r\nappendonly\r\n$2\r\n"
			"no\r\n" },
		{ "CONFIG GET none", "*0\r\n" },
		{ "CONFIG GET *client* MAX*", "*2\r\n$10\r\nmaxclients\r\n"
			"$5\r\n10000\r\n" },
		{ "CONFIG REWRITE", "-ERR CONFIG takes GET <pattern>... or"
			" SET <name> <value>...\r\n" },
		{ "HELLO 3", "-NOPROTO unsupported protocol version\r\n" },
		{ "NONE a b", "-ERR unknown command 'NONE'\r\n" },
		{ "SET a 1 NX", "+OK\r\n" },
		{ "SET a 2 NX", "$-1\r\n" },
		{ "SET none 2 XX", "$-1\r\n" },
		{ "SET a 2 NX XX", "-ERR syntax error\r\n" },
		{ "SET a 2 EX", "-ERR syntax error\r\n" },
		{ "SET a 2 EX x", "-ERR value is not an integer or out of"
			" range\r\n" },
		{ "SET a 2 EX 0", "-ERR invalid expire time in 'set' command"
			"\r\n" },
		{ "INCR a", ":2\r\n" },
		{ "INCR fresh", ":1\r\n" },
		{ "SET a 9223372036854775807", "+OK\r\n" },
		{ "INCR a", "-ERR increment or decrement would overflow"
			"\r\n" },
		{ "SET a abc XX", "+OK\r\n" },
		{ "INCR a", "-ERR value is not an integer or out of range"
			"\r\n" },
		{ "APPEND a def", ":6\r\n" },
		{ "GET a", "$6\r\nabcdef\r\n" },
		{ "APPEND later x", ":1\r\n" },
		{ "APPEND big x", "-ERR string exceeds maximum allowed size"
			" (proto-max-bulk-len)\r\n" },
		{ "TTL a", ":-1\r\n" },
		{ "TTL none", ":-2\r\n" },
		{ "EXPIRE a 100", ":1\r\n" },
		{ "TTL a", ":100\r\n" },
		{ "EXPIRE none 100", ":0\r\n" },
		{ "EXPIRE a x", "-ERR value is not an integer or out of range"
			"\r\n" },
		{ "SET a b", "+OK\r\n" },
		{ "TTL a", ":-1\r\n" },
		{ "EXPIRE a -1", ":1\r\n" },
		{ "GET a", "$-1\r\n" },
		{ "DEL a fresh later fresh", ":2\r\n" },
		{ "SET \"\" none", "+OK\r\n" },
		{ "GET \"\"", "$4\r\nnone\r\n" },
		{ "SCAN x", "-ERR invalid cursor\r\n" },
		{ "SCAN 0 COUNT 0", "-ERR syntax error\r\n" },
		{ "SCAN 0 COUNT", "-ERR syntax error\r\n" },
		{ "FLUSHALL", "+OK\r\n" },
		{ "DBSIZE", ":0\r\n" },
		{ "\"\\r\\nx\"", "-ERR unknown command '??x'\r\n" },
		{ "RELOAD", "+OK\r\n" },
		{ "RELOAD x", "-ERR wrong number of arguments for 'reload'"
			" command\r\n" },
	};
	int fd = client_open();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		send_text(fd, rows[i].request);
		send_text(fd, "\r\n");
		expect(fd, rows[i].reply);
	}
	request(fd, "QUIT", NULL);
	expect(fd, "+OK\r\n");
	expect_end(fd);
}

static void
commands_tell_about_the_server(void **state)
{
	char text[8192], line[64];
	int fd = client_open();

	(void)state;
	request(fd, "INFO", NULL);
	read_bulk(fd, text, sizeof(text));
	assert_non_null(strstr(text, "# Server\r\n"));
	assert_non_null(strstr(text, "\r\n\r\n# Clients\r\n"));
	assert_non_null(strstr(text, "\r\n\r\n# Stats\r\n"));
	assert_non_null(strstr(text, "\r\n\r\n# Store\r\nstore:"));
	request(fd, "INFO", "store", NULL);
	read_bulk(fd, text, sizeof(text));
	assert_int_equal(strncmp(text, "# Store\r\n", 9), 0);
	assert_null(strstr(text, "# Server"));
	request(fd, "INFO", "none", NULL);
	expect(fd, "$0\r\n\r\n");
	request(fd, "HELLO", "2", "SETNAME", "it", NULL);
	expect(fd, "*14\r\n$6\r\nserver\r\n$3\r\nkvd\r\n");
	for (int i = 0; i < 21; i++)
		read_line(fd, line, sizeof(line));
	assert_string_equal(line, "*0");
	request(fd, "CLIENT", "LIST", NULL);
	read_bulk(fd, text, sizeof(text));
	assert_non_null(strstr(text, " name=it "));
	request(fd, "COMMAND", "LIST", NULL);
	expect(fd, "*21\r\n$3\r\nget\r\n$3\r\nset\r\n");
	for (int i = 0; i < 38; i++)
		read_line(fd, line, sizeof(line));
	assert_string_equal(line, "quit");
	request(fd, "CLIENT", "ID", NULL);
	read_line(fd, line, sizeof(line));
	assert_true(line[0] == ':' && atoi(line + 1) > 0);
	close(fd);
}

static void
inline_requests_stand_beside_arrays(void **state)
{
	int fd = client_open();

	(void)state;
	send_text(fd, "\r\n\n  PING \n*1\r\n$4\r\nPING\r\nECHO \"a b\"\r\n"
			"echo 'c d'\n*0\r\nGET k000\r\n");
	expect(fd, "+PONG\r\n+PONG\r\n$3\r\na b\r\n$3\r\nc d\r\n"
			"$14\r\nvalue 000 of A\r\n");
	close(fd);
}

static void
pipelined_requests_are_answered_in_order(void **state)
{
	enum { N = 20000 };
	char *out = malloc(N * 32), want[32];
	size_t n = 0;
	int fd = client_open();
	pid_t writer;

	(void)state;
	assert_non_null(out);
	for (int i = 0; i < N; i++)
		n += (size_t)sprintf(out + n, "*2\r\n$3\r\nGET\r\n$4\r\n"
				"k%03d\r\n", i % RECORDS);
	writer = fork();
	assert_true(writer >= 0);
	if (!writer)
		_exit(send_bytes(fd, out, n) ? 1 : 0);
	for (int i = 0; i < N; i++) {
		snprintf(want, sizeof(want), "$14\r\nvalue %03d of A\r\n",
				i % RECORDS);
		expect(fd, want);
	}
	waitpid(writer, NULL, 0);
	free(out);
	close(fd);
}

static void
split_packets_make_whole_requests(void **state)
{
	static const char text[] = "*2\r\n$3\r\nGET\r\n$4\r\nk001\r\n"
		"PING\r\n*3\r\n$4\r\nMGET\r\n$4\r\nk002\r\n$0\r\n\r\n";
	int fd = client_open();

	(void)state;
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		assert_int_equal(send_bytes(fd, text + i, 1), 0);
	expect(fd, "$14\r\nvalue 001 of A\r\n+PONG\r\n*2\r\n"
			"$14\r\nvalue 002 of A\r\n$-1\r\n");
	close(fd);
}

static void
requests_up_to_the_limits_are_served(void **state)
{
	char *value = malloc(BIG), *got = malloc(BIG + 3), line[32];
	int fd = client_open();

	(void)state;
	assert_true(value && got);
	memset(value, 'x', BIG);
	snprintf(line, sizeof(line), "*2\r\n$4\r\nECHO\r\n$%d\r\n", BIG);
	send_text(fd, line);
	assert_int_equal(send_bytes(fd, value, BIG), 0);
	send_text(fd, "\r\n");
	assert_int_equal(read_bulk(fd, got, BIG + 3), BIG);
	assert_memory_equal(got, value, BIG);
	send_text(fd, "*1024\r\n$6\r\nEXISTS\r\n");
	for (int i = 1; i < 1024; i++)
		send_text(fd, "$4\r\nk003\r\n");
	expect(fd, ":1023\r\n");
	close(fd);
	free(value);
	free(got);
}

static void
malformed_input_is_refused_and_closed(void **state)
{
	static const struct {
		const char *input, *reply;
	} rows[] = {
		{ "*1000000\r\n", "multibulk length above 1024" },
		{ "*1025\r\n$1\r\n", "multibulk length above 1024" },
		{ "*99999999999999999999\r\n", "multibulk length above 1024" },
		{ "*-1\r\n", "invalid multibulk length" },
		{ "*-1000\r\n", "invalid multibulk length" },
		{ "*\r\n", "invalid multibulk length" },
		{ "*abc\r\n", "invalid multibulk length" },
		{ "* 1\r\n", "invalid multibulk length" },
		{ "*00000000001\r\n", "invalid multibulk length" },
		{ "*1\n$4\r\nPING\r\n", "invalid multibulk length" },
		{ "*1\rx", "expected a line feed" },
		{ "*1\r\n*1\r\n$4\r\nPING\r\n", "expected '$', got '*'" },
		{ "*1\r\n:1\r\n", "expected '$', got ':'" },
		{ "*1\r\n\001\r\n", "expected '$', got byte 1" },
		{ "*1\r\n$999999999\r\n", "bulk length above 1048576" },
		{ "*1\r\n$1048577\r\n", "bulk length above 1048576" },
		{ "*1\r\n$-1\r\n", "invalid bulk length" },
		{ "*1\r\n$\r\n", "invalid bulk length" },
		{ "*1\r\n$4\r\nPINGPONG\r\n", "bulk string longer than"
			" announced" },
		{ "*1\r\n$4\r\nPING\rx", "expected a line feed" },
		{ "ECHO \"open\r\n", "unbalanced quotes in request" },
		{ "POST / HTTP/1.1\r\n", "this is not an HTTP server" },
		{ "Host: localhost\r\n", "this is not an HTTP server" },
	};
	char want[160];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = client_open();

		send_text(fd, "PING\r\n");
		expect(fd, "+PONG\r\n");
		send_text(fd, rows[i].input);
		/* what follows is not run, and does not lose the reply */
		send_bytes(fd, "CONFIG SET maxclients 1\r\n", 25);
		snprintf(want, sizeof(want), "-ERR Protocol error: %s\r\n",
				rows[i].reply);
		expect(fd, want);
		expect_end(fd);
	}
	expect_alive();
}

static void
long_input_is_refused(void **state)
{
	char *line = malloc(70000), *body = calloc(1, BIG);
	int fd = client_open();

	(void)state;
	assert_true(line && body);
	memset(line, 'x', 70000);
	send_bytes(fd, line, 70000);
	expect(fd, "-ERR Protocol error: too big inline request\r\n");
	expect_end(fd);
	fd = client_open();
	for (int i = 0; i < 4000; i += 2)
		memcpy(line + i, "a ", 2);
	memcpy(line + 4000, "\r\n", 3);
	send_bytes(fd, line, 4002);
	expect(fd, "-ERR Protocol error: too many arguments in inline"
			" request\r\n");
	expect_end(fd);
	fd = client_open();
	send_bytes(fd, "PI\0NG\r\n", 7);
	expect(fd, "-ERR Protocol error: zero byte in inline request\r\n");
	expect_end(fd);
	fd = client_open();
	send_text(fd, "*3\r\n");
	for (int i = 0; i < 2; i++) {
		send_text(fd, "$1048576\r\n");
		assert_int_equal(send_bytes(fd, body, BIG), 0);
		send_text(fd, "\r\n");
	}
	send_text(fd, "$1\r\n");
	expect(fd, "-ERR Protocol error: request above 2097152 bytes\r\n");
	expect_end(fd);
	free(line);
	free(body);
}

static void
promised_sizes_and_replies_cost_no_memory(void **state)
{
	enum { N = 100, GETS = 2000 };
	long before = resident();
	time_t end = time(NULL) + WAIT_S;
	int fd[N], greedy = client_open();

	(void)state;
	for (int i = 0; i < N; i++) {
		fd[i] = client_open();
		send_text(fd[i], "*1024\r\n$1048576\r\nx");
	}
	/* asks for 2 GiB and reads none of it */
	for (int i = 0; i < GETS; i++)
		send_text(greedy, "GET big\r\n");
	expect_alive();
	while (info("connected_clients") < N + 2 && time(NULL) < end)
		;
	/* they, the greedy one, and the one that asks */
	assert_true(info("connected_clients") >= N + 2);
	if (resident() - before > 64L * 1024 * 1024)
		fail_msg("%ld bytes more", resident() - before);
	for (int i = 0; i < N; i++)
		close(fd[i]);
	close(greedy);
}

static void
random_bytes_do_no_harm(void **state)
{
	uint64_t seed = (uint64_t)time(NULL), x = seed | 1;
	char bytes[4096];

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < 200; round++) {
		int fd = client_open();
		size_t n;
		ssize_t r;

		for (n = 0; n < sizeof(bytes); n++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			/* half the rounds: bytes that headers are made of */
			bytes[n] = round & 1 ? (char)x :
				"*$\r\n01234-GETk"[(x >> 20) % 15];
		}
		if (!(round & 1))
			bytes[0] = '*';
		send_bytes(fd, bytes, 1 + x % sizeof(bytes));
		shutdown(fd, SHUT_WR);
		do
			r = recv(fd, bytes, sizeof(bytes), 0);
		while (r > 0);
		assert_true(r == 0 || errno == ECONNRESET);
		close(fd);
	}
	expect_alive();
}

static void
a_half_closed_client_gets_its_replies(void **state)
{
	char *got = malloc(BIG + 3);
	int fd = client_open();

	(void)state;
	assert_non_null(got);
	send_text(fd, "GET big\r\nRELOAD\r\nGET k004\r\nGET big\r\n"
			"*2\r\n$3\r\nGE");
	shutdown(fd, SHUT_WR);
	assert_int_equal(read_bulk(fd, got, BIG + 3), BIG);
	expect(fd, "+OK\r\n$14\r\nvalue 004 of A\r\n");
	assert_int_equal(read_bulk(fd, got, BIG + 3), BIG);
	expect_end(fd);
	free(got);
}

static void
clients_beyond_the_limit_are_refused(void **state)
{
	int first = client_open(), second;

	(void)state;
	request(first, "CONFIG", "SET", "maxclients", "1", NULL);
	expect(first, "+OK\r\n");
	second = client_open();
	expect(second, "-ERR max number of clients reached\r\n");
	expect_end(second);
	request(first, "CONFIG", "SET", "maxclients", "10000", NULL);
	expect(first, "+OK\r\n");
	expect_alive();
	close(first);
}

static void
config_set_changes_all_or_nothing(void **state)
{
	int fd = client_open();

	(void)state;
	request(fd, "CONFIG", "SET", "maxclients", "77", "port", "1", NULL);
	expect(fd, "-ERR CONFIG SET failed: fixed at the start: 'port'\r\n");
	request(fd, "CONFIG", "SET", "maxclients", "77", "none", "1", NULL);
	expect(fd, "-ERR CONFIG SET failed: no parameter 'none'\r\n");
	request(fd, "CONFIG", "SET", "maxclients", "77",
			"write-timeout-ms", "-5", NULL);
	expect(fd, "-ERR CONFIG SET failed: bad value for"
			" 'write-timeout-ms'\r\n");
	request(fd, "CONFIG", "GET", "maxclients", NULL);
	expect(fd, "*2\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n");
	request(fd, "CONFIG", "SET", "data", "../a.kvd", NULL);
	expect(fd, "-ERR CONFIG SET failed: bad value for 'data'\r\n");
	request(fd, "CONFIG", "SET", "data", "..", NULL);
	expect(fd, "-ERR CONFIG SET failed: bad value for 'data'\r\n");
	request(fd, "CONFIG", "SET", "data", "", NULL);
	expect(fd, "-ERR CONFIG SET failed: bad value for 'data'\r\n");
	request(fd, "CONFIG", "SET", "maxclients", "9999",
			"write-timeout-ms", "5000", NULL);
	expect(fd, "+OK\r\n");
	request(fd, "CONFIG", "SET", "maxclients", "10000",
			"write-timeout-ms", "10000", NULL);
	expect(fd, "+OK\r\n");
	close(fd);
}

static void
reload_is_in_order_within_a_pipeline(void **state)
{
	int fd = client_open();

	(void)state;
	send_text(fd, "GET k001\r\nCONFIG SET data b.kvd\r\nGET k001\r\n"
			"RELOAD\r\nGET k001\r\nCONFIG SET data a.kvd\r\n"
			"RELOAD\r\nGET k001\r\n");
	expect(fd, "$14\r\nvalue 001 of A\r\n+OK\r\n"
			"$14\r\nvalue 001 of A\r\n+OK\r\n"
			"$14\r\nvalue 001 of B\r\n+OK\r\n+OK\r\n"
			"$14\r\nvalue 001 of A\r\n");
	close(fd);
}

static void
a_broken_file_leaves_the_data_set(void **state)
{
	static const struct {
		const char *bytes, *why;
	} rows[] = {
		{ "", "empty" },
		{ "hello", "does not start with \"kvd-data 1 \"" },
		{ "kvd-data 2 0\n", "does not start with \"kvd-data 1 \"" },
		{ "kvd-data 1 x\n", "no number of records, or more than fit"
			" into the file" },
		{ "kvd-data 1 1", "no number of records, or more than fit"
			" into the file" },
		{ "kvd-data 1 4000000000\n1 1\nab\n", "no number of records,"
			" or more than fit into the file" },
		{ "kvd-data 1 2\n1 1\nab\nxxxxxxxxxxxxxx", "record 2, byte 20:"
			" no sizes of a key (1 to 65536) and a value (to"
			" 1048576)" },
		{ "kvd-data 1 1\n0 1\nb\nxx", "record 1, byte 13: no sizes of"
			" a key (1 to 65536) and a value (to 1048576)" },
		{ "kvd-data 1 1\n1 1048577\nab\n", "record 1, byte 13: no sizes"
			" of a key (1 to 65536) and a value (to 1048576)" },
		{ "kvd-data 1 1\n1 100\nab\n", "record 1, byte 13: cut short" },
		{ "kvd-data 1 1\n1 1\nabc\n", "record 1, byte 13: does not end"
			" where its sizes say" },
		{ "kvd-data 1 1\n1 1\nab\n1 1\nab\n", "byte 20: more than the 1"
			" records it announces" },
		{ "kvd-data 1 2\n1 1\nab\n1 1\nac\n", "key \"a\" comes"
			" twice" },
	};
	char want[256], path[64];
	int fd = client_open();
	long long failed = info("reloads_failed");

	(void)state;
	snprintf(path, sizeof(path), "%s/broken.kvd", dir);
	unlink(path);
	request(fd, "CONFIG", "SET", "data", "broken.kvd", NULL);
	expect(fd, "+OK\r\n");
	request(fd, "RELOAD", NULL);
	expect(fd, "-ERR reload failed, the data set stays: broken.kvd: "
			"No such file or directory\r\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		data_bytes("broken.kvd", rows[i].bytes, strlen(rows[i].bytes));
		request(fd, "RELOAD", NULL);
		snprintf(want, sizeof(want), "-ERR reload failed, the data set"
				" stays: broken.kvd: %s\r\n", rows[i].why);
		expect(fd, want);
		request(fd, "GET", "k002", NULL);
		expect(fd, "$14\r\nvalue 002 of A\r\n");
	}
	assert_int_equal(info("reloads_failed") - failed,
			1 + sizeof(rows) / sizeof(rows[0]));
	data_bytes("broken.kvd", "kvd-data 1 0\n", 13);
	send_text(fd, "RELOAD\r\nDBSIZE\r\nGET k002\r\n"
			"CONFIG SET data a.kvd\r\nRELOAD\r\nDBSIZE\r\n");
	expect(fd, "+OK\r\n:0\r\n$-1\r\n+OK\r\n+OK\r\n:503\r\n");
	close(fd);
}

static void
a_reply_outlives_its_data_set(void **state)
{
	char *got = malloc(BIG + 3), *want = malloc(BIG);
	int slow = client_open(), fd = client_open();

	(void)state;
	assert_true(got && want);
	memset(want, 'A', BIG);
	/* more than the socket buffers take: the last replies wait inside */
	for (int i = 0; i < 20; i++)
		request(slow, "GET", "big", NULL);
	/* the first has been run when something of its reply is here */
	assert_int_equal(recv(slow, got, 1, MSG_PEEK), 1);
	for (int i = 0; i < 4; i++) {
		request(fd, "CONFIG", "SET", "data",
				i & 1 ? "a.kvd" : "b.kvd", NULL);
		expect(fd, "+OK\r\n");
		request(fd, "RELOAD", NULL);
		expect(fd, "+OK\r\n");
	}
	assert_int_equal(read_bulk(slow, got, BIG + 3), BIG);
	assert_memory_equal(got, want, BIG);
	for (int i = 1; i < 20; i++) {
		assert_int_equal(read_bulk(slow, got, BIG + 3), BIG);
		/* of either set, and all of one */
		memset(want, got[0], BIG);
		assert_memory_equal(got, want, BIG);
	}
	close(slow);
	close(fd);
	free(got);
	free(want);
}

static void
a_client_that_does_not_read_is_closed(void **state)
{
	int slow, fd = client_open();
	long long clients;
	time_t end = time(NULL) + WAIT_S;

	(void)state;
	request(fd, "CONFIG", "SET", "write-timeout-ms", "300", NULL);
	expect(fd, "+OK\r\n");
	slow = client_open();
	for (int i = 0; i < 100; i++)
		request(slow, "GET", "big", NULL);
	do
		clients = info("connected_clients");
	while (clients > 2 && time(NULL) < end);
	/* this one and the one that asks */
	assert_int_equal(clients, 2);
	request(fd, "CONFIG", "SET", "write-timeout-ms", "10000", NULL);
	expect(fd, "+OK\r\n");
	close(slow);
	close(fd);
}

static void
a_large_mget_is_refused(void **state)
{
	int fd = client_open();

	(void)state;
	send_text(fd, "*66\r\n$4\r\nMGET\r\n");
	for (int i = 0; i < 65; i++)
		send_text(fd, "$3\r\nbig\r\n");
	expect(fd, "-ERR reply of more than 67108864 bytes\r\n");
	request(fd, "PING", NULL);
	expect(fd, "+PONG\r\n");
	close(fd);
}

/* ---- replacing under load ---- */

struct reader {
	pthread_t thread;
	int fd;
	pthread_barrier_t *start;
	uint32_t *stop;
	uint64_t sets[2];	/* replies of each; shared, relaxed: figures */
	uint64_t mixed;
};

static uint64_t
seen(const struct reader *r, int set)
{
	/* relaxed: a figure */
	return __atomic_load_n(&r->sets[set], __ATOMIC_RELAXED);
}

/* cmocka's assertions are for the main thread: figures are looked at there */
static void *
read_sets(void *arg)
{
	/* "*500\r\n" and so often "$14\r\nvalue 000 of A\r\n" */
	enum { SIZE = 6 + RECORDS * 21, FIRST = 6 + 18 };
	struct reader *r = arg;
	char ask[32 + RECORDS * 10], got[SIZE];
	size_t ask_n = (size_t)sprintf(ask, "*%d\r\n$4\r\nMGET\r\n",
			RECORDS + 1);

	for (int i = 0; i < RECORDS; i++)
		ask_n += (size_t)sprintf(ask + ask_n, "$4\r\nk%03d\r\n", i);
	pthread_barrier_wait(r->start);
	/* relaxed: only ends the loop */
	while (!__atomic_load_n(r->stop, __ATOMIC_RELAXED)) {
		size_t n = 0;
		ssize_t k;

		if (send_bytes(r->fd, ask, ask_n))
			break;
		for (; n < SIZE; n += (size_t)k) {
			k = recv(r->fd, got + n, SIZE - n, 0);
			if (k <= 0)
				return NULL;
		}
		for (int i = 1; i < RECORDS; i++)
			r->mixed += got[FIRST + i * 21] != got[FIRST];
		/* relaxed: a figure, which this thread alone changes */
		__atomic_fetch_add(&r->sets[got[FIRST] == 'B'], 1,
				__ATOMIC_RELAXED);
	}
	return NULL;
}

static void
no_reply_mixes_two_data_sets(void **state)
{
	enum { READERS = 4, ROUNDS = 60 };
	time_t end = time(NULL) + WAIT_S;
	struct reader reader[READERS] = { 0 };
	pthread_barrier_t start;
	uint32_t stop = 0;
	long long reloads = info("reloads");
	int fd = client_open(), done = 0;

	(void)state;
	pthread_barrier_init(&start, NULL, READERS + 1);
	for (int i = 0; i < READERS; i++) {
		reader[i].start = &start;
		reader[i].stop = &stop;
		reader[i].fd = client_open();
		assert_int_equal(pthread_create(&reader[i].thread, NULL,
					read_sets, &reader[i]), 0);
	}
	pthread_barrier_wait(&start);
	/* until each reader saw both: otherwise nothing could be mixed */
	for (int i = 0; i < ROUNDS || i % 2 || (!done && time(NULL) < end);
			i++) {
		request(fd, "CONFIG", "SET", "data",
				i & 1 ? "a.kvd" : "b.kvd", NULL);
		expect(fd, "+OK\r\n");
		if (i % 3 == 0)
			kill(server, SIGHUP);
		request(fd, "RELOAD", NULL);
		expect(fd, "+OK\r\n");
		done = 1;
		for (int j = 0; j < READERS; j++)
			done &= seen(&reader[j], 0) && seen(&reader[j], 1);
	}
	/* relaxed: only ends the loops */
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < READERS; i++) {
		pthread_join(reader[i].thread, NULL);
		close(reader[i].fd);
		assert_int_equal(reader[i].mixed, 0);
	}
	pthread_barrier_destroy(&start);
	assert_true(done);
	assert_true(info("reloads") - reloads >= ROUNDS);
	close(fd);
}

static void
replaced_data_sets_are_freed(void **state)
{
	time_t end = time(NULL) + WAIT_S;

	(void)state;
	if (strcmp(store, "own"))
		skip();
	assert_true(info("retired_objects") > 0);
	/* the last SIGHUP may still be at work */
	while ((info("pending_objects") || info("freed_objects") !=
			info("retired_objects")) && time(NULL) < end)
		;
	assert_int_equal(info("pending_objects"), 0);
	assert_int_equal(info("freed_objects"), info("retired_objects"));
}

static void
sighup_reads_the_file_again(void **state)
{
	time_t end = time(NULL) + WAIT_S;
	char got[64] = "";
	int fd = client_open();

	(void)state;
	data_write("a.kvd", 'C');
	kill(server, SIGHUP);
	while (strcmp(got, "value 001 of C") && time(NULL) < end) {
		request(fd, "GET", "k001", NULL);
		read_bulk(fd, got, sizeof(got));
	}
	assert_string_equal(got, "value 001 of C");
	data_write("a.kvd", 'A');
	request(fd, "RELOAD", NULL);
	expect(fd, "+OK\r\n");
	close(fd);
}

static void
sigusr1_dumps_and_serving_goes_on(void **state)
{
	time_t end = time(NULL) + WAIT_S;
	off_t before = lseek(log_fd, 0, SEEK_END);

	(void)state;
	kill(server, SIGUSR1);
	while (lseek(log_fd, 0, SEEK_END) == before && time(NULL) < end)
		expect_alive();
	assert_true(lseek(log_fd, 0, SEEK_END) > before);
}

/* Other keys come and go between the calls, so that tables grow and shrink. */
static void
scan_returns_every_key_that_stays(void **state)
{
	char cursor[64] = "0", line[64], key[128];
	int seen[RECORDS] = { 0 }, fd = client_open(), round = 0;

	(void)state;
	request(fd, "RELOAD", NULL);
	expect(fd, "+OK\r\n");
	do {
		for (int i = 0; i < 100; i++) {
			snprintf(key, sizeof(key), "x%d", round / 2 * 100 + i);
			if (round & 1)
				request(fd, "DEL", key, NULL);
			else
				request(fd, "SET", key, "v", NULL);
			expect(fd, round & 1 ? ":1\r\n" : "+OK\r\n");
		}
		round++;
		request(fd, "SCAN", cursor, "COUNT", "7", NULL);
		expect(fd, "*2\r\n");
		read_bulk(fd, cursor, sizeof(cursor));
		read_line(fd, line, sizeof(line));
		for (int n = atoi(line + 1); n > 0; n--) {
			read_bulk(fd, key, sizeof(key));
			if (*key == 'k')
				seen[atoi(key + 1)]++;
		}
	} while (strcmp(cursor, "0") != 0);
	for (int i = 0; i < RECORDS; i++)
		assert_int_equal(seen[i], 1);
	request(fd, "RELOAD", NULL);
	expect(fd, "+OK\r\n");
	close(fd);
}

static void
expired_keys_go_by_themselves(void **state)
{
	time_t end = time(NULL) + WAIT_S;
	char line[64];
	int fd = client_open();

	(void)state;
	request(fd, "SET", "soon", "v", "EX", "1", NULL);
	expect(fd, "+OK\r\n");
	do {
		request(fd, "DBSIZE", NULL);
		read_line(fd, line, sizeof(line));
	} while (strcmp(line, ":503") != 0 && time(NULL) < end);
	assert_string_equal(line, ":503");
	request(fd, "GET", "soon", NULL);
	expect(fd, "$-1\r\n");
	close(fd);
}

/* Clients in every state are there when the server ends: see group_teardown */
static void
clients_are_left_for_the_end(void **state)
{
	int fd = client_open();

	(void)state;
	send_text(client_open(), "*2\r\n$3\r\nGE");
	send_text(client_open(), "PIN");
	for (int i = 0; i < 20; i++)
		send_text(fd, "GET big\r\n");
	send_text(client_open(), "RELOAD\r\nRELOAD\r\n");
	expect_alive();
}

/* ---- the command line ---- */

static void
wrong_options_are_refused(void **state)
{
	(void)state;
	assert_int_equal(server_run("--help", NULL, NULL, NULL), 0);
	assert_int_equal(server_run("--port", "65536", NULL, NULL), 2);
	assert_int_equal(server_run("--port", "x", NULL, NULL), 2);
	assert_int_equal(server_run("--threads", "0", NULL, NULL), 2);
	assert_int_equal(server_run("--maxclients", "0", NULL, NULL), 2);
	assert_int_equal(server_run("--store", "none", NULL, NULL), 2);
	assert_int_equal(server_run("--policy", "none", NULL, NULL), 2);
	assert_int_equal(server_run("--none", NULL, NULL, NULL), 2);
	assert_int_equal(server_run("--data", "x", "y", NULL), 2);
	assert_int_equal(server_run("--data", "/nowhere/x", NULL, NULL), 1);
	assert_int_equal(server_run("--data", "/dev/null", "--port", "0"), 1);
	assert_int_equal(server_run("--data", dir, "--bind", "nonsense"), 1);
}

static int
run_store(const char *name)
{
	static const struct CMUnitTest cases[] = {
		cmocka_unit_test(every_command_replies_to_the_byte),
		cmocka_unit_test(commands_tell_about_the_server),
		cmocka_unit_test(inline_requests_stand_beside_arrays),
		cmocka_unit_test(pipelined_requests_are_answered_in_order),
		cmocka_unit_test(split_packets_make_whole_requests),
		cmocka_unit_test(requests_up_to_the_limits_are_served),
		cmocka_unit_test(malformed_input_is_refused_and_closed),
		cmocka_unit_test(long_input_is_refused),
		cmocka_unit_test(promised_sizes_and_replies_cost_no_memory),
		cmocka_unit_test(random_bytes_do_no_harm),
		cmocka_unit_test(a_half_closed_client_gets_its_replies),
		cmocka_unit_test(clients_beyond_the_limit_are_refused),
		cmocka_unit_test(config_set_changes_all_or_nothing),
		cmocka_unit_test(reload_is_in_order_within_a_pipeline),
		cmocka_unit_test(a_broken_file_leaves_the_data_set),
		cmocka_unit_test(a_reply_outlives_its_data_set),
		cmocka_unit_test(a_client_that_does_not_read_is_closed),
		cmocka_unit_test(a_large_mget_is_refused),
		cmocka_unit_test(no_reply_mixes_two_data_sets),
		cmocka_unit_test(replaced_data_sets_are_freed),
		cmocka_unit_test(sighup_reads_the_file_again),
		cmocka_unit_test(sigusr1_dumps_and_serving_goes_on),
		cmocka_unit_test(scan_returns_every_key_that_stays),
		cmocka_unit_test(expired_keys_go_by_themselves),
		cmocka_unit_test(clients_are_left_for_the_end),
	};

	store = name;
	return cmocka_run_group_tests_name(name, cases, group_setup,
			group_teardown);
}

int
main(void)
{
	static const char *const stores[] = {
		"own", "sharded", "rwlock", "mutex", "gil",
	};
	static const struct CMUnitTest options[] = {
		cmocka_unit_test(wrong_options_are_refused),
	};
	const char *only = getenv("KVD_STORE");
	int failed = 0;

	support_begin();
	for (size_t i = 0; i < sizeof(stores) / sizeof(stores[0]); i++)
		if (!only || !strcmp(only, stores[i]))
			failed += run_store(stores[i]);
	failed += cmocka_run_group_tests_name("options", options, NULL, NULL);
	failed += bad_ends;
	support_end(failed);
	return failed ? 1 : 0;
}
