/* SPDX-License-Identifier: MIT */
/* test_support.c - contract in test_support.h */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_support.h"

char dir[] = "/tmp/kvd-test-XXXXXX";
pid_t server;
int log_fd = -1;
static const char *program;
static uint16_t port;

/* ---- data files ---- */

static FILE *
data_open(const char *name)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	return f;
}

static void
data_record(FILE *f, const char *key, size_t key_size, const char *value,
		size_t value_size)
{
	fprintf(f, "%zu %zu\n", key_size, value_size);
	fwrite(key, 1, key_size, f);
	fwrite(value, 1, value_size, f);
	fputc('\n', f);
}

/* k000.., big, empty, and a key of strange bytes; unsorted */
void
data_write(const char *name, char set)
{
	char key[16], value[64], *big = malloc(BIG);
	FILE *f = data_open(name);

	assert_non_null(big);
	memset(big, set, BIG);
	fprintf(f, "kvd-data 1 %d\n", RECORDS + 3);
	for (int i = 0; i < RECORDS; i++) {
		snprintf(key, sizeof(key), "k%03d", i);
		snprintf(value, sizeof(value), "value %03d of %c", i, set);
		data_record(f, key, 4, value, strlen(value));
	}
	data_record(f, "big", 3, big, BIG);
	data_record(f, "empty", 5, "", 0);
	data_record(f, "a\0\r\n b", 6, "strange", 7);
	assert_int_equal(fclose(f), 0);
	free(big);
}

void
data_bytes(const char *name, const char *bytes, size_t size)
{
	FILE *f = data_open(name);

	fwrite(bytes, 1, size, f);
	assert_int_equal(fclose(f), 0);
}

/* ---- a client ---- */

int
client_open(void)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timeval wait = { .tv_sec = WAIT_S };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

/* 0, or -1 when the server has closed */
int
send_bytes(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

		if (n < 0)
			return -1;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

void
send_text(int fd, const char *text)
{
	assert_int_equal(send_bytes(fd, text, strlen(text)), 0);
}

/* Arguments up to NULL, as an array of bulk strings. */
void
request(int fd, const char *first, ...)
{
	const char *arg = first;
	char buffer[4096];
	va_list args;
	size_t n = 0, args_n = 0;

	va_start(args, first);
	for (; arg; arg = va_arg(args, const char *))
		args_n++;
	va_end(args);
	n += (size_t)snprintf(buffer, sizeof(buffer), "*%zu\r\n", args_n);
	va_start(args, first);
	for (arg = first; arg; arg = va_arg(args, const char *))
		n += (size_t)snprintf(buffer + n, sizeof(buffer) - n,
				"$%zu\r\n%s\r\n", strlen(arg), arg);
	va_end(args);
	assert_int_equal(send_bytes(fd, buffer, n), 0);
}

void
receive(int fd, char *data, size_t size)
{
	while (size) {
		ssize_t n = recv(fd, data, size, 0);

		if (n <= 0)
			fail_msg("recv: %s, %zu bytes missing",
					n ? strerror(errno) : "end", size);
		data += n;
		size -= (size_t)n;
	}
}

void
expect_bytes(int fd, const char *want, size_t size)
{
	char *got = malloc(size + 1);

	assert_non_null(got);
	receive(fd, got, size);
	got[size] = '\0';
	if (memcmp(got, want, size))
		fail_msg("got \"%.200s\", want \"%.200s\"", got, want);
	free(got);
}

void
expect(int fd, const char *want)
{
	expect_bytes(fd, want, strlen(want));
}

void
expect_end(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);

	if (n > 0)
		fail_msg("got byte %u, want the end", (unsigned char)byte);
	if (n < 0)
		assert_int_equal(errno, ECONNRESET);
	close(fd);
}

/* A line without its CR LF. */
void
read_line(int fd, char *line, size_t size)
{
	size_t n = 0;

	do {
		assert_true(n + 1 < size);
		receive(fd, line + n, 1);
	} while (line[n++] != '\n');
	assert_true(n >= 2 && line[n - 2] == '\r');
	line[n - 2] = '\0';
}

/* A bulk string, terminated; its size. */
size_t
read_bulk(int fd, char *value, size_t size)
{
	char line[64];
	size_t n;

	read_line(fd, line, sizeof(line));
	assert_int_equal(line[0], '$');
	n = strtoul(line + 1, NULL, 10);
	assert_true(n + 2 <= size);
	receive(fd, value, n + 2);
	assert_memory_equal(value + n, "\r\n", 2);
	value[n] = '\0';
	return n;
}

void
expect_alive(void)
{
	int fd = client_open();

	request(fd, "PING", NULL);
	expect(fd, "+PONG\r\n");
	close(fd);
}

/* A figure of INFO. */
long long
info(const char *name)
{
	char text[8192], *at;
	int fd = client_open();

	request(fd, "INFO", NULL);
	read_bulk(fd, text, sizeof(text));
	close(fd);
	at = strstr(text, name);
	assert_non_null(at);
	assert_int_equal(at[strlen(name)], ':');
	return strtoll(at + strlen(name) + 1, NULL, 10);
}

/* ---- the server ---- */

void
server_start(const char *store)
{
	char data[64], line[256] = "";
	const char *at;
	int out[2];
	FILE *f;

	snprintf(data, sizeof(data), "%s/a.kvd", dir);
	data_write("a.kvd", 'A');
	data_write("b.kvd", 'B');
	assert_int_equal(pipe(out), 0);
	server = fork();
	assert_true(server >= 0);
	if (!server) {
		/* a test that is killed leaves no server behind */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], 1);
		dup2(log_fd, 2);
		close(out[0]);
		close(out[1]);
		execl(program, program, "--port", "0", "--threads", "2",
				"--store", store, "--data", data, NULL);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	assert_non_null(f);
	if (!fgets(line, sizeof(line), f))
		fail_msg("%s did not start", program);
	fclose(f);
	at = strstr(line, " port ");
	assert_non_null(at);
	port = (uint16_t)atoi(at + 6);
	assert_non_null(strstr(line, store));
}

int
server_stop(void)
{
	int status;

	kill(server, SIGTERM);
	assert_int_equal(waitpid(server, &status, 0), server);
	if (status)
		print_error("server ended with status %x\n",
				(unsigned)status);
	return status ? -1 : 0;
}

/* Resident bytes of the server. */
long
resident(void)
{
	char path[64];
	long pages = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/statm", (long)server);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*s %ld", &pages), 1);
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

int
server_run(const char *a, const char *b, const char *c, const char *d)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		dup2(log_fd, 1);
		dup2(log_fd, 2);
		execl(program, program, a, b, c, d, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
show_log(void)
{
	char bytes[4096];
	ssize_t n;

	lseek(log_fd, 0, SEEK_SET);
	while ((n = read(log_fd, bytes, sizeof(bytes))) > 0)
		fwrite(bytes, 1, (size_t)n, stderr);
}

void
support_begin(void)
{
	FILE *f = tmpfile();

	program = getenv("KVD") ? getenv("KVD") : "examples/kvd/kvd";
	if (!f || !mkdtemp(dir)) {
		perror(dir);
		exit(1);
	}
	log_fd = fileno(f);
}

void
support_end(int failed)
{
	static const char *const files[] = { "a.kvd", "b.kvd", "broken.kvd" };
	char path[64];

	if (failed)
		show_log();
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	rmdir(dir);
}
