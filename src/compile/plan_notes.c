/*
 * plan_notes.c
 *		What a plan's notes tell the user of a table's changes.
 */
#include "base/compat.h"

#include "access/htup_details.h"

#include "base/sql.h"
#include "compile/plan_notes.h"

char *
note_table(const Table *t)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->note)
			appendStringInfo(&buf, "%s%s", buf.len ? "; " : "", c->note);
		if (!c->dropped && c->second && c->fill && expr_is_volatile(c->value))
			appendStringInfo(&buf, "%sup of column %s is volatile: its values cannot be verified", buf.len ? "; " : "", c->name);
	}
	if (sql_textp("SELECT 1 FROM pg_index WHERE indrelid = $1 AND indisprimary", P_oid(t->relid)) == NULL)
		appendStringInfo(&buf, "%stable %s has no primary key: reports name rows by ctid", buf.len ? "; " : "", t->name);
	if (t->natts > MaxHeapAttributeNumber - 200)
		appendStringInfo(&buf, "%stable %s has used %d of %d attribute numbers", buf.len ? "; " : "", t->name, t->natts, MaxHeapAttributeNumber);
	return buf.len ? buf.data : NULL;
}

char *
note_rule(const Table *t, const Rule *r)
{
	if (r->filled)
		return psprintf("every row of %s has its new values", t->new_name);
	if (r->column)
		return psprintf("column %s of %s is NOT NULL", r->column->name, t->new_name);
	return psprintf("CHECK constraint %s of %s holds", r->name, t->new_name);
}

char *
note_rules(const Table *t)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, t->rules)
		if (!((Rule *) lfirst(lc))->filled)
			appendStringInfo(&buf, "%s%s", buf.len ? ", " : "", note_rule(t, lfirst(lc)));
	return buf.len ? psprintf("from here on writes of the new version are held to: %s; those of the old version from the fence on", buf.data) : NULL;
}

char *
note_dropped(const Table *t)
{
	Bitmapset  *changed = shape_changed_atts(t);
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, t->constraints)
	{
		Constr	   *k = lfirst(lc);

		if (k->dropped && !bms_overlap(k->columns, changed))
			appendStringInfo(&buf, "%s%s", buf.len ? ", " : "", k->name);
	}
	return buf.len ? psprintf("until here both versions are held to %s", buf.data) : NULL;
}
