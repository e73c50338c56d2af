/*
 * txn.h
 *		Transactions of code that runs both in a background worker and inside a CALL.
 *
 * In a worker they are plain transaction commands; in a procedure SPI's non-atomic mode is used. Either way an active snapshot is set
 * between txn_begin/txn_next and the next of these calls. Memory that must outlive txn_next() belongs into a context of the
 * caller's own.
 */
#ifndef MIG_TXN_H
#define MIG_TXN_H

#include "postgres.h"

extern void txn_begin(bool in_worker);	/* worker: start one; procedure: connect to SPI non-atomically */
extern void txn_next(void);		/* commit, and start the next one */
extern void txn_end(void);		/* worker: commit; procedure: disconnect */

/*
 * Run fn(arg) in a subtransaction. True when it succeeded. On an error it is rolled back and *error (in the caller's memory context)
 * tells it; cancel, shutdown and out-of-memory are raised again.
 */
extern bool txn_try(void (*fn) (void *arg), void *arg, ErrorData **error);

#endif
