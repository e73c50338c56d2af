/*
 * state.c
 *		Rows of mig.migration, mig.step and mig.event.
 *
 * Owns those tables: nobody else reads or writes them from C. Each function runs its statement as the bootstrap superuser; the
 * rows are protected by the advisory lock MIGRATION (base/lock.h), which every driver and every call that changes a phase holds.
 */
#include "base/compat.h"

#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "base/sql.h"
#include "store/state.h"

static const char *const phase_names[] = {
	[PHASE_PLANNED] = "planned",
	[PHASE_EXPANDING] = "expanding",
	[PHASE_BACKFILLING] = "backfilling",
	[PHASE_VALIDATING] = "validating",
	[PHASE_READY] = "ready",
	[PHASE_COMPLETING] = "completing",
	[PHASE_COMPLETED] = "completed",
	[PHASE_ROLLING_BACK] = "rolling_back",
	[PHASE_ROLLED_BACK] = "rolled_back",
};

static const char *const step_phase_names[] = {
	[STEP_EXPAND] = "expand",
	[STEP_FILL] = "backfill",
	[STEP_CHECK] = "validate",
	[STEP_OPEN] = "ready",
	[STEP_CONTRACT] = "contract",
};

static const char *const step_kind_names[] = {
	[STEP_SQL] = "sql",
	[STEP_CONCURRENTLY] = "concurrently",
	[STEP_VACUUM] = "vacuum",
	[STEP_BACKFILL] = "backfill",
	[STEP_VALIDATE] = "validate",
};

/* The columns make_migration() reads; HERE keeps other servers' and databases' rows out. */
#define MIGRATION_COLUMNS \
	"SELECT id, name, schema_name, version_schema, definition, options::text, phase, paused, reason, error," \
	" (SELECT oid FROM pg_roles WHERE rolname = owner_name), settings::text, was_ready, (SELECT e.options::text FROM mig.in_effect e WHERE e.id = migration.id)," \
	" EXISTS (SELECT FROM mig.override o WHERE o.migration_id = migration.id AND o.ended_at IS NULL AND o.expires_at <= clock_timestamp()) FROM mig.migration "
#define HERE \
	" system_identifier = (SELECT system_identifier FROM pg_control_system()) AND database_oid = (SELECT oid FROM pg_database WHERE datname = current_database()) "
#define STEP_COLUMNS \
	"SELECT no, phase, kind, grp, relation, relid, lock_mode, rewrites, sql, undo, note, done_at IS NOT NULL, keep, superuser FROM mig.step "

/* Index of a name in a table of names, -1 if it is not there. */
static int
name_index(const char *name, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

/* Index of a name that our own tables hold. */
static int
stored_index(const char *name, const char *const *names, int n)
{
	int			i = name_index(name, names, n);

	if (i < 0)
		elog(ERROR, "unexpected word \"%s\" in the tables of schema mig", name);
	return i;
}

const char *
phase_name(MigPhase phase)
{
	return phase_names[phase];
}

/* The phase of that name, as a user wrote it. */
MigPhase
phase_from_name(const char *name)
{
	int			i = name_index(name, phase_names, lengthof(phase_names));

	if (i < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown phase \"%s\"", name),
				 errhint("Phases are planned, expanding, backfilling, validating, ready, completing, completed, rolling_back and rolled_back.")));
	return (MigPhase) i;
}

const char *
step_phase_name(StepPhase phase)
{
	return step_phase_names[phase];
}

const char *
step_kind_name(StepKind kind)
{
	return step_kind_names[kind];
}

static bool
is_true(const char *s)
{
	return s != NULL && s[0] == 't';
}

/* A row of MIGRATION_COLUMNS as a struct. */
static Migration *
make_migration(char **v)
{
	Migration  *m = palloc0(sizeof(Migration));

	m->id = pg_strtoint64(v[0]);
	m->name = v[1];
	m->schema = v[2];
	m->version_schema = v[3];
	m->definition = v[4];
	m->options = v[5];
	m->phase = (MigPhase) stored_index(v[6], phase_names, lengthof(phase_names));
	m->paused = is_true(v[7]);
	m->reason = v[8];
	m->error = v[9];
	m->owner = v[10] ? sql_oid(v[10]) : InvalidOid;
	m->settings = v[11];
	m->was_ready = is_true(v[12]);
	m->in_effect = v[13];
	m->override_over = is_true(v[14]);
	return m;
}

Migration *
migration_by_id(int64 id)
{
	SqlRows    *rows = admin_queryp(MIGRATION_COLUMNS "WHERE id = $1", P_int8(id));

	return rows->n ? make_migration(rows->v[0]) : NULL;
}

Migration *
migration_by_name(const char *name)
{
	SqlRows    *rows = admin_queryp(MIGRATION_COLUMNS "WHERE name = $1 AND" HERE "ORDER BY id DESC LIMIT 1", P_text(name));

	return rows->n ? make_migration(rows->v[0]) : NULL;
}

List *
migrations_active(void)
{
	SqlRows    *rows = admin_query(MIGRATION_COLUMNS "WHERE phase NOT IN ('completed', 'rolled_back') AND" HERE "ORDER BY id");
	List	   *list = NIL;

	for (uint64 i = 0; i < rows->n; i++)
		list = lappend(list, make_migration(rows->v[i]));
	return list;
}

/* SQL name of a lock mode ("AccessExclusiveLock" → "ACCESS EXCLUSIVE"), NULL for none. */
static const char *const lock_names[] = {
	NULL, "ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE",
	"SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"
};

/* Lock mode of an SQL name, NoLock for NULL. */
static LOCKMODE
lock_from_name(const char *name)
{
	if (name == NULL)
		return NoLock;
	return stored_index(name, lock_names + 1, lengthof(lock_names) - 1) + 1;
}

const char *
step_lock_name(LOCKMODE mode)
{
	return lock_names[mode];
}

/* Store one step of a new migration. */
static void
step_insert(int64 id, const Step *s)
{
	sql_execp("INSERT INTO mig.step (migration_id, no, phase, kind, grp, relation, relid, lock_mode, rewrites, sql, undo, note, keep, superuser)"
			  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
			  P_int8(id), P_int4(s->no), P_text(step_phase_names[s->phase]), P_text(step_kind_names[s->kind]),
			  P_int4(s->group), P_text(s->relation), P_oid(s->relid), P_text(lock_names[s->lock]),
			  P_bool(s->rewrites), P_text(s->sql), P_text(s->undo), P_text(s->note), P_bool(s->keep),
			  P_bool(s->superuser));
}

int64
migration_insert(const Migration *m, List *steps)
{
	Identity	saved;
	int64		id;
	ListCell   *lc;

	admin_begin(&saved);
	id = pg_strtoint64(sql_textp("INSERT INTO mig.migration (name, schema_name, version_schema, definition, options, phase,"
								 " owner_name, settings, system_identifier, database_oid, database_name)"
								 " SELECT $1, $2, $3, $4, $5, 'planned', $6, $7::text[], system_identifier, $8, current_database()"
								 " FROM pg_control_system() RETURNING id",
								 P_text(m->name), P_text(m->schema), P_text(m->version_schema), P_text(m->definition),
								 P_jsonb(m->options ? m->options : "{}"), P_text(GetUserNameFromId(m->owner, false)),
								 P_text(m->settings ? m->settings : "{}"), P_oid(MyDatabaseId)));
	foreach(lc, steps)
		step_insert(id, lfirst(lc));
	identity_end(&saved);
	return id;
}

void
migration_forget_former(const char *version_schema)
{
	admin_execp("UPDATE mig.migration SET retired_at = clock_timestamp() WHERE version_schema = $1 AND phase = 'rolled_back'"
				" AND retired_at IS NULL AND" HERE, P_text(version_schema));
}

void
migration_set_phase(int64 id, MigPhase phase)
{
	admin_execp("UPDATE mig.migration SET phase = $2, phase_since = clock_timestamp(), updated_at = clock_timestamp(),"
				" was_ready = was_ready OR $2 = 'ready', reason = NULL,"
				" ended_at = CASE WHEN $2 IN ('completed', 'rolled_back') THEN clock_timestamp() END WHERE id = $1",
				P_int8(id), P_text(phase_names[phase]));
}

void
migration_set_pause(int64 id, bool paused, const char *reason, const char *error)
{
	admin_execp("UPDATE mig.migration SET paused = $2, reason = $3, error = $4, updated_at = clock_timestamp() WHERE id = $1",
				P_int8(id), P_bool(paused), P_text(reason), P_text(error));
}

void
migration_set_waiting(int64 id, const char *reason)
{
	admin_execp("UPDATE mig.migration SET reason = $2, updated_at = clock_timestamp()"
				" WHERE id = $1 AND reason IS DISTINCT FROM $2 AND NOT paused",
				P_int8(id), P_text(reason));
}

char *
migration_old_snapshot(int64 id)
{
	admin_execp("UPDATE mig.migration SET filled_xid = pg_current_xact_id(), filled_at = clock_timestamp() WHERE id = $1 AND filled_xid IS NULL", P_int8(id));
	return admin_queryp("SELECT (SELECT format('pid %s (%s): %s', a.pid, coalesce(a.state, a.backend_type), left(regexp_replace(a.query, '\\s+', ' ', 'g'), 120))"
						"  FROM pg_stat_activity a WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()"
						"  AND a.backend_type <> 'autovacuum worker' AND age(a.backend_xmin) > age(m.filled_xid::xid)"
						"  AND a.xact_start < m.filled_at ORDER BY age(a.backend_xmin) DESC LIMIT 1)"
						" FROM mig.migration m WHERE m.id = $1", P_int8(id))->v[0][0];
}

void
migration_set_divergent(int64 id, int64 divergent)
{
	admin_execp("UPDATE mig.migration SET divergent = $2, updated_at = clock_timestamp() WHERE id = $1",
				P_int8(id), P_int8(divergent));
}

void
migration_set_retired(int64 id)
{
	admin_execp("UPDATE mig.migration SET retired_at = clock_timestamp() WHERE id = $1", P_int8(id));
}

void
migration_set_options(int64 id, const char *options)
{
	admin_execp("UPDATE mig.migration SET options = $2, updated_at = clock_timestamp() WHERE id = $1",
				P_int8(id), P_jsonb(options));
}

bool
version_schema_exists(const char *name)
{
	return OidIsValid(get_extension_oid("mig_control", true)) &&
		admin_queryp("SELECT FROM mig.version_schema WHERE schema_name = $1 LIMIT 1", P_text(name))->n > 0;
}

/* A row of STEP_COLUMNS as a struct. */
static Step *
make_step(char **v)
{
	Step	   *s = palloc0(sizeof(Step));

	s->no = pg_strtoint32(v[0]);
	s->phase = (StepPhase) stored_index(v[1], step_phase_names, lengthof(step_phase_names));
	s->kind = (StepKind) stored_index(v[2], step_kind_names, lengthof(step_kind_names));
	s->group = pg_strtoint32(v[3]);
	s->relation = v[4];
	s->relid = v[5] ? sql_oid(v[5]) : InvalidOid;
	s->lock = lock_from_name(v[6]);
	s->rewrites = is_true(v[7]);
	s->sql = v[8];
	s->undo = v[9];
	s->note = v[10];
	s->done = is_true(v[11]);
	s->keep = is_true(v[12]);
	s->superuser = is_true(v[13]);
	return s;
}

/* Rows of STEP_COLUMNS as a list. */
static List *
make_steps(const SqlRows *rows)
{
	List	   *list = NIL;

	for (uint64 i = 0; i < rows->n; i++)
		list = lappend(list, make_step(rows->v[i]));
	return list;
}

List *
steps_of(int64 migration_id)
{
	return make_steps(admin_queryp(STEP_COLUMNS "WHERE migration_id = $1 ORDER BY no", P_int8(migration_id)));
}

List *
steps_of_phase(int64 migration_id, StepPhase phase)
{
	return make_steps(admin_queryp(STEP_COLUMNS "WHERE migration_id = $1 AND phase = $2 ORDER BY no",
								   P_int8(migration_id), P_text(step_phase_names[phase])));
}

List *
steps_of_group(int64 migration_id, int group)
{
	return make_steps(admin_queryp(STEP_COLUMNS "WHERE migration_id = $1 AND grp = $2 ORDER BY no",
								   P_int8(migration_id), P_int4(group)));
}

Step *
step_next(int64 migration_id)
{
	SqlRows    *rows = admin_queryp(STEP_COLUMNS "WHERE migration_id = $1 AND done_at IS NULL ORDER BY no LIMIT 1",
									P_int8(migration_id));

	return rows->n ? make_step(rows->v[0]) : NULL;
}

void
step_done(int64 migration_id, int no, bool done)
{
	admin_execp("UPDATE mig.step SET done_at = CASE WHEN $3 THEN clock_timestamp() END WHERE migration_id = $1 AND no = $2",
				P_int8(migration_id), P_int4(no), P_bool(done));
}

void
event_write(int64 migration_id, const char *kind, const char *detail)
{
	admin_execp("INSERT INTO mig.event (migration_id, kind, detail) VALUES ($1, $2, $3)",
				P_int8(migration_id), P_text(kind), P_jsonb(detail));
}

bool
step_is_moot(int64 migration_id, const Step *step)
{
	if (!OidIsValid(step->relid) || step->phase != STEP_FILL)
		return false;
	return admin_queryp("SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = $2 AND relispartition)"
						" AND NOT EXISTS (SELECT FROM mig.migrated_table WHERE migration_id = $1 AND relid = $2)",
						P_int8(migration_id), P_oid(step->relid))->n > 0;
}
