/*
 * seal.c
 *		Compares the catalog with what it was: a bypass of the sync triggers leaves its trace there, whether or not anybody was watching.
 *
 * Of each relation with rows of a migrating table: its sync triggers with their firing mode and the transaction that has last touched them (DISABLE and ENABLE again changes that) or their function,
 * its data file (TRUNCATE, and whatever else rewrites it), and the functions of users that its expressions call. Writes with session_replication_role = replica are
 * no bypass: the triggers are ENABLE ALWAYS, and one that is not shows. A lapse is a state, not a change: as long as triggers do not fire, no pass is worth anything.
 */
#include "base/compat.h"

#include "access/table.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "backfill/leaves.h"
#include "base/sql.h"
#include "store/expression.h"
#include "store/pass.h"
#include "store/transform.h"
#include "verify/seal.h"

/* Append an OID to a JSON array of them. */
static void
append_oid(StringInfo json, Oid oid)
{
	appendStringInfo(json, "%s%u", json->len > 1 ? ", " : "", oid);
}

/* Append the functions that the expressions of a relation call; false when somebody else has locked it. */
static bool
append_functions(StringInfo json, Oid relid)
{
	bool		gone;
	Relation	rel = leaf_open(relid, AccessShareLock, &gone);
	Transform  *tr;
	ListCell   *lc;

	if (rel == NULL)
		return gone;
	if (relation_has_sync(rel))
	{
		tr = transform_get(rel);
		for (int i = 0; i < tr->npairs; i++)
		{
			foreach(lc, expression_functions(tr->pairs[i].up))
				append_oid(json, lfirst_oid(lc));
			foreach(lc, expression_functions(tr->pairs[i].down))
				append_oid(json, lfirst_oid(lc));
		}
	}
	table_close(rel, NoLock);
	return true;
}

/* The seal of a table's relations, as one JSON object; NULL when they cannot be looked at now. */
static char *
seal_of(Oid table)
{
	StringInfoData relids;
	StringInfoData functions;
	ListCell   *lc;
	List	   *leaves = leaves_of(table);

	initStringInfo(&relids);
	initStringInfo(&functions);
	appendStringInfoChar(&relids, '[');
	appendStringInfoChar(&functions, '[');
	foreach(lc, leaves)
		append_oid(&relids, lfirst_oid(lc));
	if (leaves && !append_functions(&functions, linitial_oid(leaves)))
		return NULL;
	appendStringInfoChar(&relids, ']');
	appendStringInfoChar(&functions, ']');
	return admin_queryp("SELECT coalesce(jsonb_object_agg(format('%I.%I', n.nspname, c.relname), jsonb_build_object('the data file', c.relfilenode)"
						" || coalesce((SELECT jsonb_object_agg(format('trigger %I', t.tgname), jsonb_build_array(t.oid, t.xmin, t.tgenabled, p.xmin)) FROM pg_trigger t"
						"   JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = c.oid AND p.proname = 'sync' AND p.pronamespace = 'mig'::regnamespace), '{}')"
						" || coalesce((SELECT jsonb_object_agg(format('function %s', p.oid::regprocedure), jsonb_build_array(p.oid, p.xmin)) FROM pg_proc p"
						"   WHERE p.oid IN (SELECT f::oid FROM jsonb_array_elements_text($2) f)), '{}')), '{}')::text"
						" FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid IN (SELECT r::oid FROM jsonb_array_elements_text($1) r)",
						P_jsonb(relids.data), P_jsonb(functions.data))->v[0][0];
}

char *
seal_lapse(Oid table)
{
	char	   *lapse = NULL;
	ListCell   *lc;

	foreach(lc, leaves_of(table))
	{
		bool		gone;
		Relation	rel = leaf_open(lfirst_oid(lc), AccessShareLock, &gone);

		if (rel == NULL)
			continue;			/* whoever has locked it leaves a trace */
		if (lapse == NULL && !relation_has_sync(rel))
			lapse = psprintf("%s has lost its sync triggers", sql_relation_name(lfirst_oid(lc)));
		else if (lapse == NULL && !relation_sync_fires(rel))
			lapse = psprintf("the sync triggers of %s do not always fire", sql_relation_name(lfirst_oid(lc)));
		table_close(rel, NoLock);
	}
	return lapse;
}

bool
seal_check(const Migration *mig)
{
	char	   *seal = "{}";
	ListCell   *lc;

	foreach(lc, steps_of_phase(mig->id, STEP_CHECK))
	{
		Step	   *s = lfirst(lc);
		char	   *of_table;

		if (s->kind != STEP_VALIDATE)
			continue;
		of_table = seal_of(s->relid);
		if (of_table == NULL)
			return false;		/* the next look will show */
		seal = sql_textp("SELECT ($1 || $2)::text", P_jsonb(seal), P_jsonb(of_table));
	}
	return epoch_seal(mig, seal);
}
