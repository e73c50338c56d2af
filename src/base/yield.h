/*
 * yield.h
 *		Let others have the processor.
 */
#ifndef MIG_YIELD_H
#define MIG_YIELD_H

/*
 * To be called between rows, where this process holds no lock of the server's own (LWLock, spinlock, buffer lock): whoever waits for this processor runs first.
 * Costs a reading of the clock, and every YIELD_US half a microsecond more.
 */
extern void yield_processor(void);

/* Whether it does, from now on; at first it does. */
extern void yield_wanted(bool yes);

#endif
