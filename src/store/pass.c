/*
 * pass.c
 *		Rows of mig.pass, mig.epoch and mig.seal. Owns those tables.
 *
 * A pass that is open belongs to whoever holds the locks of its work; its row is changed in the transaction of each range. An epoch is begun by whoever
 * first sees that the seal has changed: the row of mig.seal is locked meanwhile.
 */
#include "base/compat.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "base/sql.h"
#include "store/pass.h"

#define MOST_ASKED 1000			/* transactions; then one is as good as running */

static const char *const kind_names[] = {
	[PASS_VALIDATE] = "validate",
	[PASS_CALL] = "call",
	[PASS_WATCH] = "watch",
	[PASS_REPAIR] = "repair",
	[PASS_ROLLBACK] = "rollback",
};

#define PASS_LIST \
	" p.id, p.migration_id, p.relid, p.relation, p.kind, p.step_no, p.epoch, (extract(epoch FROM p.started_at) * 1000000)::bigint, p.started_lsn - '0/0', p.ended_at IS NOT NULL, p.clean," \
	" p.checked, p.divergent, p.missing, p.violating, p.repaired, p.leaf, p.next_block, p.old_digest, p.old_sum, p.new_digest, p.new_sum "
#define PASS_COLUMNS "SELECT" PASS_LIST "FROM mig.pass p "
#define UNIX_TO_POSTGRES_US ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

void
findings_add(Findings *total, const Findings *part)
{
	total->checked += part->checked;
	total->divergent += part->divergent;
	total->missing += part->missing;
	total->violating += part->violating;
	total->repaired += part->repaired;
	total->nsamples += part->nsamples;
	total->old_side.exclusive_or ^= part->old_side.exclusive_or;
	total->old_side.sum += part->old_side.sum;
	total->new_side.exclusive_or ^= part->new_side.exclusive_or;
	total->new_side.sum += part->new_side.sum;
}

/* The kind of that name. */
static PassKind
kind_from_name(const char *name)
{
	for (int i = 0; i < lengthof(kind_names); i++)
		if (strcmp(kind_names[i], name) == 0)
			return (PassKind) i;
	elog(ERROR, "unexpected word \"%s\" in the tables of schema mig", name);
}

/* A row of PASS_LIST as a struct. */
static Pass *
make_pass(char **v)
{
	Pass	   *p = palloc0(sizeof(Pass));

	p->id = pg_strtoint64(v[0]);
	p->migration_id = pg_strtoint64(v[1]);
	p->relid = sql_oid(v[2]);
	p->relation = v[3];
	p->kind = kind_from_name(v[4]);
	p->step_no = pg_strtoint32(v[5]);
	p->epoch = pg_strtoint32(v[6]);
	p->started_at = pg_strtoint64(v[7]) - UNIX_TO_POSTGRES_US;
	p->started_lsn = strtou64(v[8], NULL, 10);
	p->ended = v[9][0] == 't';
	p->clean = v[10][0] == 't';
	p->found.checked = pg_strtoint64(v[11]);
	p->found.divergent = pg_strtoint64(v[12]);
	p->found.missing = pg_strtoint64(v[13]);
	p->found.violating = pg_strtoint64(v[14]);
	p->found.repaired = pg_strtoint64(v[15]);
	p->leaf = v[16] ? sql_oid(v[16]) : InvalidOid;
	p->next_block = pg_strtoint64(v[17]);
	p->found.old_side.exclusive_or = (uint64) pg_strtoint64(v[18]);
	p->found.old_side.sum = (uint64) pg_strtoint64(v[19]);
	p->found.new_side.exclusive_or = (uint64) pg_strtoint64(v[20]);
	p->found.new_side.sum = (uint64) pg_strtoint64(v[21]);
	return p;
}

/* The first row as a struct, NULL if there is none. */
static Pass *
first_pass(const SqlRows *rows)
{
	return rows->n ? make_pass(rows->v[0]) : NULL;
}

/* The open pass of a kind and step; NULL. */
static Pass *
find_open(const Migration *mig, Oid relid, PassKind kind, int step_no)
{
	return first_pass(admin_queryp(PASS_COLUMNS "WHERE p.migration_id = $1 AND p.relid = $2 AND p.kind = $3 AND p.step_no = $4 AND p.ended_at IS NULL ORDER BY p.id DESC LIMIT 1",
								   P_int8(mig->id), P_oid(relid), P_text(kind_names[kind]), P_int4(step_no)));
}

bool
pass_is_open(const Migration *mig, Oid relid, PassKind kind, int step_no)
{
	return find_open(mig, relid, kind, step_no) != NULL;
}

/* A transaction id of now as one of 64 bits. */
static uint64
full_xid(TransactionId xid, uint64 next)
{
	return next + (int32) (xid - (TransactionId) next);
}

/*
 * The oldest transaction of others that runs, given the one that was to come before; that one if none does. A snapshot names those that are older than the newest that has ended; of
 * the others, each has to be asked for.
 */
static uint64
oldest_running(uint64 next)
{
	Snapshot	snapshot = GetLatestSnapshot();
	uint64		oldest = full_xid(snapshot->xmax, next);

	for (int asked = 0; oldest < next && asked < MOST_ASKED; asked++)
	{
		if (!TransactionIdIsCurrentTransactionId((TransactionId) oldest) && TransactionIdIsInProgress((TransactionId) oldest))
			break;
		oldest++;
	}
	for (uint32 i = 0; i < snapshot->xcnt; i++)
	{
		uint64		xid = full_xid(snapshot->xip[i], next);

		oldest = Min(oldest, xid);
	}
	return Min(oldest, next);
}

Pass *
pass_open(const Migration *mig, Oid relid, const char *relation, PassKind kind, int step_no)
{
	Pass	   *open = find_open(mig, relid, kind, step_no);
	uint64		lsn;
	uint64		next;

	if (open)
		return open;
	lsn = GetXLogInsertRecPtr();
	next = U64FromFullTransactionId(ReadNextFullTransactionId());
	return first_pass(admin_queryp("INSERT INTO mig.pass AS p (migration_id, relid, relation, kind, step_no, epoch, started_lsn, next_xid, oldest_xid)"
								   " SELECT m.id, $2, $3, $4, $5, m.epoch, '0/0'::pg_lsn + $6::numeric, $7, $8 FROM mig.migration m WHERE m.id = $1 RETURNING" PASS_LIST,
								   P_int8(mig->id), P_oid(relid), P_text(relation), P_text(kind_names[kind]), P_int4(step_no),
								   P_int8((int64) lsn), P_int8((int64) next), P_int8((int64) oldest_running(next))));
}

void
pass_add(const Pass *pass, const Findings *found, int64 ranges)
{
	/* sums wrap around: they are counted in numeric, and brought back into 64 bits */
	admin_execp("UPDATE mig.pass SET ranges = ranges + $2, checked = checked + $3, divergent = divergent + $4, missing = missing + $5, violating = violating + $6, repaired = repaired + $7,"
				" old_digest = old_digest # $8, old_sum = mig.wrapping_sum(old_sum, $9), new_digest = new_digest # $10, new_sum = mig.wrapping_sum(new_sum, $11),"
				" leaf = nullif($12, 0::oid), next_block = $13 WHERE id = $1",
				P_int8(pass->id), P_int8(ranges), P_int8(found->checked), P_int8(found->divergent), P_int8(found->missing), P_int8(found->violating), P_int8(found->repaired),
				P_int8((int64) found->old_side.exclusive_or), P_int8((int64) found->old_side.sum), P_int8((int64) found->new_side.exclusive_or), P_int8((int64) found->new_side.sum),
				P_oid(pass->leaf), P_int8(pass->next_block));
}

void
pass_close(int64 id)
{
	admin_execp("UPDATE mig.pass p SET ended_at = clock_timestamp(), ended_lsn = pg_current_wal_insert_lsn(), leaf = NULL, next_block = 0,"
				" clean = p.divergent = 0 AND p.missing = 0 AND p.repaired = 0 AND p.epoch = m.epoch FROM mig.migration m WHERE p.id = $1 AND m.id = p.migration_id", P_int8(id));
}

void
pass_drop_open(int64 migration_id, Oid relid, PassKind kind)
{
	admin_execp("DELETE FROM mig.pass WHERE migration_id = $1 AND relid = $2 AND kind = $3 AND ended_at IS NULL", P_int8(migration_id), P_oid(relid), P_text(kind_names[kind]));
}

Pass *
pass_last(int64 migration_id, Oid relid)
{
	return first_pass(admin_queryp(PASS_COLUMNS "WHERE p.migration_id = $1 AND p.relid = $2 AND p.ended_at IS NOT NULL ORDER BY p.ended_lsn DESC, p.id DESC LIMIT 1", P_int8(migration_id), P_oid(relid)));
}

Pass *
pass_last_finding(int64 migration_id, Oid relid)
{
	return first_pass(admin_queryp(PASS_COLUMNS "WHERE p.migration_id = $1 AND p.relid = $2 AND p.divergent + p.missing + p.repaired > 0 AND p.ended_lsn >= coalesce("
								   "(SELECT c.started_lsn FROM mig.pass c WHERE c.migration_id = $1 AND c.relid = $2 AND c.clean ORDER BY c.ended_lsn DESC, c.id DESC LIMIT 1), '0/0')"
								   " ORDER BY p.ended_lsn DESC, p.id DESC LIMIT 1", P_int8(migration_id), P_oid(relid)));
}

Pass *
pass_last_clean(const Migration *mig, Oid relid)
{
	return first_pass(admin_queryp(PASS_COLUMNS "JOIN mig.migration m ON m.id = p.migration_id WHERE p.migration_id = $1 AND p.relid = $2 AND p.clean AND p.epoch = m.epoch"
								   " ORDER BY p.ended_lsn DESC, p.id DESC LIMIT 1", P_int8(mig->id), P_oid(relid)));
}

/*
 * Transactions that ran when it began may have written before that, unseen. But what they wrote lies behind the place where the log was when the oldest of them was still to come;
 * other passes and the watch have noted such places.
 */
uint64
pass_seen_lsn(int64 id)
{
	char	   *lsn = admin_queryp("SELECT CASE WHEN p.oldest_xid >= p.next_xid THEN p.started_lsn - '0/0' ELSE greatest("
								   "  (SELECT max(q.started_lsn - '0/0') FROM mig.pass q WHERE q.migration_id = p.migration_id AND q.next_xid <= p.oldest_xid),"
								   "  (SELECT max(k.lsn) FROM mig.watcher w, unnest(w.mark_xids, w.mark_lsns) k(xid, lsn) WHERE w.migration_id = p.migration_id AND k.xid <= p.oldest_xid)) END::text"
								   " FROM mig.pass p WHERE p.id = $1", P_int8(id))->v[0][0];

	return lsn ? strtou64(lsn, NULL, 10) : 0;
}

int
pass_epoch(int64 migration_id)
{
	return pg_strtoint32(admin_queryp("SELECT epoch FROM mig.migration WHERE id = $1", P_int8(migration_id))->v[0][0]);
}

void
epoch_begin(int64 migration_id, const char *why, const char *detail)
{
	admin_execp("WITH m AS (UPDATE mig.migration SET epoch = epoch + 1, updated_at = clock_timestamp() WHERE id = $1 RETURNING id, epoch)"
				" INSERT INTO mig.epoch (migration_id, epoch, why, detail, suspect_from)"
				" SELECT m.id, m.epoch, $2, $3, (SELECT s.seen_xid FROM mig.seal s WHERE s.migration_id = m.id) FROM m",
				P_int8(migration_id), P_text(why), P_jsonb(detail));
	event_write(migration_id, "bypass", admin_queryp("SELECT (jsonb_build_object('epoch', epoch, 'why', $2::text) || coalesce($3, '{}'))::text FROM mig.migration WHERE id = $1",
													 P_int8(migration_id), P_text(why), P_jsonb(detail))->v[0][0]);
}

bool
epoch_seal(const Migration *mig, const char *seal)
{
	SqlRows    *rows = admin_queryp("SELECT s.seal IS NULL OR s.seal = $2, mig.seal_changes(s.seal, $2), mig.seal_changes(s.seal, $2) ->> 0 FROM mig.seal s WHERE s.migration_id = $1 FOR UPDATE",
									P_int8(mig->id), P_jsonb(seal));
	bool		changed = rows->n && rows->v[0][0][0] != 't';

	if (changed)
		epoch_begin(mig->id, rows->v[0][2], psprintf("{\"changes\": %s}", rows->v[0][1]));
	admin_execp("INSERT INTO mig.seal (migration_id, seal, seen_xid) VALUES ($1, $2, pg_snapshot_xmin(pg_current_snapshot()))"
				" ON CONFLICT (migration_id) DO UPDATE SET seal = excluded.seal, seen_xid = excluded.seen_xid, seen_at = clock_timestamp()", P_int8(mig->id), P_jsonb(seal));
	return changed;
}

void
epoch_reseal(int64 migration_id)
{
	admin_execp("UPDATE mig.seal SET seal = NULL WHERE migration_id = $1", P_int8(migration_id));
}

uint64
epoch_suspect_xid(int64 migration_id, Oid relid)
{
	char	   *xid = admin_queryp("SELECT min(coalesce(e.suspect_from::text::numeric, 3))::text FROM mig.epoch e WHERE e.migration_id = $1"
								   " AND e.epoch > coalesce((SELECT max(p.epoch) FROM mig.pass p WHERE p.migration_id = $1 AND p.relid = $2 AND p.clean), 0)",
								   P_int8(migration_id), P_oid(relid))->v[0][0];

	return xid ? strtou64(xid, NULL, 10) : 0;
}
