/*
 * duty.h
 *		The zones: how much of the time drivers work, and how many of them, from the highest utilisation of the gradual signals.
 *
 * Pure arithmetic, no clock and no catalog; called once a second. Duty times workers is one number, the effort: below 0.4 it grows, the faster the lower the
 * utilisation; from 0.4 to 0.7 it stays; above it falls, and above 1 it is halved, and does not grow for a while. The effort is then shared
 * out: as few workers as can do it, one less only when it is well below what they could.
 */
#ifndef MIG_DUTY_H
#define MIG_DUTY_H

#include "postgres.h"

#define DUTY_LEAST		0.02
#define DUTY_EVERY_MS	1000	/* between two moves */
#define DUTY_COOL_MS	5000	/* without a raise, after it was halved */

typedef struct Duty
{
	double		duty;			/* share of time in which each driver works: DUTY_LEAST .. 1 */
	int			workers;		/* 1 .. most */
} Duty;

/* To begin with: everything when there is no load, less the nearer utilisation is to 1. */
extern Duty duty_start(int most, double utilisation);
/* The next second; most may have changed. cool: no raise now. *too_much: it was halved, so that it is to cool down. */
extern Duty duty_move(Duty now, int most, double utilisation, bool cool, bool *too_much);

#endif
