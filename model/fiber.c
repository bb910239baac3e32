/* SPDX-License-Identifier: MIT */
/*
 * fiber.c - stacks and the switch between them
 *
 * A switch saves what a called function must preserve, on the stack it leaves,
 * and costs a few nanoseconds: no system call, no signal mask. The library
 * does no floating point that a rounding mode could matter to.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "model/engine.h"

#define STACK_SIZE	((size_t)256 << 10)
#define GUARD_SIZE	((size_t)64 << 10)

#if defined(__x86_64__)

#define SAVED		8	/* words: six registers, entry, alignment */
#define SAVED_ENTRY	6

__asm__(
"	.text\n"
"	.globl	own_m_i_fiber_switch\n"
"	.hidden	own_m_i_fiber_switch\n"
"	.type	own_m_i_fiber_switch, @function\n"
"own_m_i_fiber_switch:\n"
"	pushq	%rbp\n"
"	pushq	%rbx\n"
"	pushq	%r12\n"
"	pushq	%r13\n"
"	pushq	%r14\n"
"	pushq	%r15\n"
"	movq	%rsp, (%rdi)\n"
"	movq	(%rsi), %rsp\n"
"	popq	%r15\n"
"	popq	%r14\n"
"	popq	%r13\n"
"	popq	%r12\n"
"	popq	%rbx\n"
"	popq	%rbp\n"
"	ret\n"
"	.size	own_m_i_fiber_switch, .-own_m_i_fiber_switch\n");

#elif defined(__aarch64__)

#define SAVED		20	/* words: x19 to x30, d8 to d15 */
#define SAVED_ENTRY	11	/* x30, the link register */

__asm__(
"	.text\n"
"	.globl	own_m_i_fiber_switch\n"
"	.hidden	own_m_i_fiber_switch\n"
"	.type	own_m_i_fiber_switch, %function\n"
"own_m_i_fiber_switch:\n"
"	sub	sp, sp, #160\n"
"	stp	x19, x20, [sp]\n"
"	stp	x21, x22, [sp, #16]\n"
"	stp	x23, x24, [sp, #32]\n"
"	stp	x25, x26, [sp, #48]\n"
"	stp	x27, x28, [sp, #64]\n"
"	stp	x29, x30, [sp, #80]\n"
"	stp	d8, d9, [sp, #96]\n"
"	stp	d10, d11, [sp, #112]\n"
"	stp	d12, d13, [sp, #128]\n"
"	stp	d14, d15, [sp, #144]\n"
"	mov	x9, sp\n"
"	str	x9, [x0]\n"
"	ldr	x9, [x1]\n"
"	mov	sp, x9\n"
"	ldp	x19, x20, [sp]\n"
"	ldp	x21, x22, [sp, #16]\n"
"	ldp	x23, x24, [sp, #32]\n"
"	ldp	x25, x26, [sp, #48]\n"
"	ldp	x27, x28, [sp, #64]\n"
"	ldp	x29, x30, [sp, #80]\n"
"	ldp	d8, d9, [sp, #96]\n"
"	ldp	d10, d11, [sp, #112]\n"
"	ldp	d12, d13, [sp, #128]\n"
"	ldp	d14, d15, [sp, #144]\n"
"	add	sp, sp, #160\n"
"	ret\n"
"	.size	own_m_i_fiber_switch, .-own_m_i_fiber_switch\n");

#else
#error "the model needs the switch between fibers of this processor"
#endif

void
own_m_i_fiber_make(struct own_m_fiber *fiber, void *stack_top,
		void (*entry)(void))
{
	uint64_t *sp = (uint64_t *)stack_top - SAVED;

	memset(sp, 0, SAVED * sizeof(*sp));
	sp[SAVED_ENTRY] = (uintptr_t)entry;
	fiber->sp = sp;
}

void *
own_m_i_stack_top(unsigned n)
{
	static bool mapped[THREADS];
	uintptr_t base = STACK_BASE + n * (STACK_SIZE + GUARD_SIZE);

	if (!mapped[n]) {
		void *p = mmap((void *)(base + GUARD_SIZE), STACK_SIZE,
				PROT_READ | PROT_WRITE, MAP_PRIVATE |
				MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (p != (void *)(base + GUARD_SIZE)) {
			perror("own_model: mmap of a stack");
			exit(2);
		}
		mapped[n] = true;
	}
	return (void *)(base + GUARD_SIZE + STACK_SIZE);
}

int
own_m_i_stack_find(uintptr_t p, size_t *ret_below)
{
	uintptr_t offset = p - STACK_BASE;
	size_t pitch = STACK_SIZE + GUARD_SIZE;

	if (offset >= THREADS * pitch)
		return -1;
	*ret_below = pitch - offset % pitch;
	return (int)(offset / pitch);
}
