/*
 * signal.h
 *		The signals by which backfill and verification are paced: what each measures, in which unit, and its limits.
 *
 * One table (signal.c) drives all: the settings mig_control.throttle_<name> and mig_control.critical_<name>, the keys of options.throttle, the
 * readings shown in mig.signals, and the documentation of both. The readers are in signal_*.c, by where they look.
 */
#ifndef MIG_SIGNAL_H
#define MIG_SIGNAL_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "store/state.h"

typedef enum SignalClass
{
	SIGNAL_HARD,				/* over its limit: everything stops */
	SIGNAL_GRADUAL				/* its utilisation, value / limit, moves the duty cycle */
} SignalClass;

typedef enum SignalUnit
{
	SIGNAL_COUNT,					/* a number of things, or a ratio */
	SIGNAL_MS,					/* milliseconds; settings and options take '10s' and the like */
	SIGNAL_BYTES					/* bytes; settings and options take '1GB' and the like */
} SignalUnit;

/* What a signal says now. Texts are palloc'd or constant */
typedef struct Reading
{
	bool		known;			/* false: it could not be read */
	double		value;
	double		limit;			/* positive: the reader's own, in place of the limit 0, which is "auto" for it */
	double		base;			/* what it would be without us: utilisation is (value - base) / (limit - base) */
	char	   *who;			/* whose value it is (a standby, a slot, a pid), or why it is not known; NULL */
	char	   *calm;			/* drivers should stand still for a moment, so that it can be measured: what; NULL */
} Reading;

/* What readers may look at */
typedef struct SignalContext
{
	const Migration *mig;
	Oid			relid;			/* the table under way; InvalidOid: none */
	const char *throttle;		/* options.throttle with its overrides, JSON text; NULL: none */
	double		effort;			/* processors that drivers kept busy since the last look */
	TimestampTz now;			/* of this look: readers that ask for the same share an answer; 0: they don't */
} SignalContext;

typedef struct Signal
{
	const char *name;
	SignalClass class;
	SignalUnit	unit;
	bool		floor;			/* a hard signal that stops below its limit (free disk) */
	bool		writes;			/* about what is written: verification does not go by it */
	double		limit;			/* default; negative: off */
	double		critical;		/* default; negative: off */
	const char *what;			/* a phrase: "WAL that the slowest standby has not replayed" */
	Reading		(*read) (const SignalContext *context);	/* may raise: then it is not known */
	bool		yes_or_no;		/* 1 stops, and who says why; it has neither limit nor setting */
	bool		automatic;		/* the limit 0 means that the reader finds one */
} Signal;

extern const Signal signals[];
extern const int nsignals;

/* A migration's tables are about to be filled: from now on measure what takes a while to be known. */
extern void signals_prepare(const Migration *mig);
extern void signals_define_settings(void);	/* from _PG_init, in alphabetical order */
extern double signal_limit(int n, const SignalContext *context);	/* in effect: the option, or else the setting; negative: off */
extern double signal_critical(int n, const SignalContext *context);
extern char *signal_value_text(int n, double value);	/* "1.5 GB", "10 s", "3" */

extern bool clients_are_there(const SignalContext *context);	/* have any done something in the last seconds? */

/* At the end of a chunk, before its (sub)transaction commits: does a client wait for rows that it has locked? */
extern bool signal_note_waiters(void);

/*
 * Raise 22023, with the path, for an options.throttle (JSON text; NULL: none) that has unknown names, wrong types or limits out of range, or a query that does
 * not compile or give true or false now. The query is run as the owner, under settings as in Migration.settings (NULL: the session's).
 */
extern void signals_check_options(const char *throttle, Oid owner, const char *settings);

#endif
