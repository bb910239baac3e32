/* SPDX-License-Identifier: MIT */
/*
 * test_support.h - a kvd, its data files, and clients that look at each byte
 *
 * Whatever fails here fails the case that called it. Waits end after WAIT_S.
 */
#ifndef KVD_TEST_SUPPORT_H
#define KVD_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <cmocka.h>

#define RECORDS		500
#define BIG		(1024 * 1024)
#define WAIT_S		60

extern char dir[];	/* where data files are */
extern pid_t server;
extern int log_fd;	/* what servers write to stderr */

void support_begin(void);
/* Shows that if anything failed; removes all files. */
void support_end(int failed);

/* On a.kvd, beside which b.kvd lies; on a free port of 127.0.0.1. */
void server_start(const char *store);
/* By SIGTERM. -1 if it did not end with 0. */
int server_stop(void);
/* The exit status of the program with arguments up to NULL. */
int server_run(const char *a, const char *b, const char *c, const char *d);
/* Its memory now, in bytes. */
long resident(void);

/*
 * k000.. to RECORDS with "value 000 of <set>", "big" with BIG times <set>,
 * "empty", and a key of strange bytes.
 */
void data_write(const char *name, char set);
void data_bytes(const char *name, const char *bytes, size_t size);

int client_open(void);
/* 0, or -1 when the server has closed */
int send_bytes(int fd, const char *data, size_t size);
void send_text(int fd, const char *text);
/* Arguments up to NULL, as an array of bulk strings. */
void request(int fd, const char *first, ...);

void receive(int fd, char *data, size_t size);
void expect_bytes(int fd, const char *want, size_t size);
void expect(int fd, const char *want);
/* The end, which a reset is too; closes @fd. */
void expect_end(int fd);
/* Without its CR LF. */
void read_line(int fd, char *line, size_t size);
/* A bulk string, terminated; its size. */
size_t read_bulk(int fd, char *value, size_t size);
void expect_alive(void);
/* A figure of INFO. */
long long info(const char *name);

#endif
