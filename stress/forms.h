/* SPDX-License-Identifier: MIT */
/*
 * forms.h - a verb's three forms: which are drawn, what each may answer
 */
#ifndef STRESS_FORMS_H
#define STRESS_FORMS_H

#include "stress/driver.h"

/* Which forms of a verb may be drawn. */
#define TRY			1u
#define TIMED			2u
#define BARE			4u
#define ANY			(TRY | TIMED | BARE)

unsigned form_draw(struct stress_thread *t, unsigned forms);
/* A deadline for TIMED, up to 0.2 ms from now. */
uint64_t form_deadline(struct stress_thread *t);
/*
 * Returns @r if the form may answer that, -ETIMEDOUT neither early nor
 * absurdly late, or if it is in @others, a list that ends with 0; else the
 * case fails.
 */
int form_judge(struct stress_thread *t, unsigned form, uint64_t deadline_ns,
		int r, const int *others);

/* Fails the case unless @r is 0. */
void must(struct stress_thread *t, int r, const char *what);

#endif
