/* SPDX-License-Identifier: MIT */
/*
 * report.c - how addresses read, traces, and how a schedule fails
 */
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/state.h"

#define NAMES_MAX	256

struct name {
	uintptr_t at;
	size_t size;
	const char *text;
};

static struct name names[NAMES_MAX];
static unsigned name_count;

char own_m_i_failure[2048];

void
own_m_i_forget_names(void)
{
	name_count = 0;
}

bool
own_m_i_tracing(void)
{
	return M.run->trace;
}

void
own_m_i_place(const char **ret_file, int *ret_line)
{
	*ret_file = M.threads[M.me].file ? M.threads[M.me].file : "start";
	*ret_line = M.threads[M.me].line;
}

void
own_m_i_set_place(const char *file, int line)
{
	M.threads[M.me].file = file;
	M.threads[M.me].line = line;
}

const char *
own_m_i_label(uint64_t address)
{
	extern const char __executable_start[];
	static char labels[8][80];
	static unsigned next;
	char *text = labels[next++ % 8];
	uintptr_t p = (uintptr_t)address;
	size_t offset;
	unsigned block;
	int stack = own_m_i_stack_find(p, &offset);

	for (unsigned i = 0; i < name_count; i++) {
		const struct name *n = &names[i];

		if (p - n->at >= n->size)
			continue;
		if (p == n->at)
			return n->text;
		snprintf(text, sizeof(labels[0]), "%s+%#zx", n->text,
				(size_t)(p - n->at));
		return text;
	}
	if (stack >= 0)
		snprintf(text, sizeof(labels[0]), "T%d.stack-%#zx", stack,
				offset);
	else if (own_m_i_in_arena(p) && (block = own_m_i_heap_find(p,
			&offset)) > 0)
		snprintf(text, sizeof(labels[0]), "#%u+%#zx", block, offset);
	else if (own_m_i_in_arena(p))
		snprintf(text, sizeof(labels[0]), "arena+%#tx", p - ARENA_BASE);
	else
		snprintf(text, sizeof(labels[0]), "global+%#tx",
				(const char *)p - __executable_start);
	return text;
}

const char *
own_m_i_show(uint64_t value)
{
	static char texts[4][32];
	static unsigned next;
	char *text = texts[next++ % 4];
	size_t below;

	if (own_m_i_in_arena(value) ||
			own_m_i_stack_find((uintptr_t)value, &below) >= 0)
		return own_m_i_label(value);
	snprintf(text, sizeof(texts[0]), "%#" PRIx64, value);
	return text;
}

void
own_m_i_trace(const char *format, ...)
{
	va_list arguments;

	printf("%6u T%u %s:%d ", M.run->steps, M.me,
			M.threads[M.me].file ? M.threads[M.me].file : "start",
			M.threads[M.me].line);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

static OWN__NORETURN void
leave_failed(void)
{
	struct own_m_fiber dead;

	if (!M.inside) {
		fprintf(stderr, "own_model: outside any scenario: %s\n",
				own_m_i_failure);
		abort();
	}
	M.run->failed = true;
	TRACE("FAILURE %s", own_m_i_failure);
	own_m_i_fiber_switch(&dead, &M.host);
	abort();
}

void
own_m_i_die(const char *format, ...)
{
	va_list arguments;
	size_t length = 0;

	if (M.inside)
		length = (size_t)snprintf(own_m_i_failure,
				sizeof(own_m_i_failure), "T%u near %s:%d: ",
				M.me, M.threads[M.me].file ?
				M.threads[M.me].file : "start",
				M.threads[M.me].line);
	va_start(arguments, format);
	vsnprintf(own_m_i_failure + length, sizeof(own_m_i_failure) - length,
			format, arguments);
	va_end(arguments);
	leave_failed();
}

void
own_m_fail_at(const char *text, const char *file, int line)
{
	own_m_i_set_place(file, line);
	own_m_i_die("%s", text);
}

void
own_m_note(const char *format, ...)
{
	va_list arguments;

	if (!M.run || !M.run->trace)
		return;
	printf("%6u T%u ", M.run->steps, M.me);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

void
own_m_name(const void *address, size_t size, const char *name)
{
	if (M.run && M.run->trace && name_count < NAMES_MAX)
		names[name_count++] = (struct name){ (uintptr_t)address, size,
			name };
}

/* A crash is a failure of the schedule that led to it. */
static void
on_signal(int number)
{
	if (!M.inside) {
		signal(number, SIG_DFL);
		raise(number);
	}
	own_m_i_die("%s", number == SIGABRT ? "abort" :
			number == SIGFPE ? "arithmetic fault" :
			"access to an address that is not mapped");
}

void
own_m_i_catch_signals(void)
{
	static const int numbers[] = { SIGSEGV, SIGBUS, SIGFPE, SIGABRT };
	static char stack[64 << 10];
	static bool done;
	struct sigaction action = { .sa_handler = on_signal,
		.sa_flags = SA_ONSTACK | SA_NODEFER };
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };

	if (done)
		return;
	done = true;
	sigaltstack(&alternate, NULL);
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
}

