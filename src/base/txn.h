/*
 * txn.h
 *		Transactions of code that runs both in a background worker and inside a CALL.
 *
 * In a worker they are plain transaction commands; in a procedure SPI's non-atomic mode is used. Either way an active snapshot is set
 * between txn_begin/txn_next and the next of these calls, and the settings of txn_settings() hold. None of these calls changes the current
 * memory context: be in one of your own that outlives transactions, then what is allocated in it stays valid across txn_next().
 */
#ifndef MIG_TXN_H
#define MIG_TXN_H

#include "postgres.h"

extern void txn_begin(bool in_worker);	/* worker: start one; procedure: connect to SPI non-atomically */
extern void txn_next(void);		/* commit, and start the next one */
extern void txn_nap(long ms);	/* commit, sleep without a snapshot until the latch is set, start the next one */
extern void txn_end(void);		/* commit; procedure: disconnect */

extern bool txn_in_procedure(void);	/* or in a worker? */

/* Does this error say that the same may work the next time: a lock, a conflict, no room on disk? */
extern bool txn_is_retryable(int sqlerrcode);

/* Settings for a whole worker session (time-outs, search_path, …). A procedure gets those it needs in each transaction. */
extern void txn_settings(void);

/*
 * Run fn(arg) in a subtransaction. True when it succeeded. On an error it is rolled back and *error (in the caller's memory context)
 * tells it; cancel, shutdown and lack of resources other than room on disk are raised again.
 */
extern bool txn_try(void (*fn) (void *arg), void *arg, ErrorData **error);

/* The same on trial: nothing that it does to the database stays. Returns its error, NULL if there was none. */
extern ErrorData *txn_trial(void (*fn) (void *arg), void *arg);

#endif
