/*
 * foreign_key.c
 *		Foreign keys: new ones, and those whose columns are replaced on either side.
 *
 * Owns no state. One that is new and whose own columns stay as they are binds nobody but the new version until the fence: a constraint trigger holds what
 * is written through it (sync/reference.c). All others are made over the hidden columns as soon as these are filled, and their unique indexes built.
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/defrem.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/lock.h"
#include "base/sql.h"
#include "compile/foreign_key.h"
#include "compile/operations.h"
#include "compile/plan_statement.h"

/* ---- what a new one refers to ---- */

/* The OID of the table that a name stands for at this operation, when it is none that the migration changes. */
static Oid
referenced_relid(const MigPlan *p, const RangeVar *rv)
{
	Oid			base = get_namespace_oid(p->schema, false);
	Oid			relid;

	if (rv->schemaname && strcmp(rv->schemaname, p->schema) != 0)
		return get_relname_relid(rv->relname, get_namespace_oid(rv->schemaname, false));
	if (name_in(p->parked, rv->relname))
		return get_relname_relid(rv->relname, get_namespace_oid(p->inner_schema, false));
	relid = get_relname_relid(rv->relname, base);
	if (OidIsValid(relid) && plan_known_table(p, relid) == NULL)	/* else it was renamed or dropped earlier in this migration */
		return relid;
	relid = rv->schemaname ? InvalidOid : RelnameGetRelid(rv->relname);
	return OidIsValid(relid) && get_rel_namespace(relid) != base ? relid : InvalidOid;
}

/* Raise what PostgreSQL raises for a table that no foreign key of `t` may refer to. */
static void
check_referenced(const Table *t, const Operation *op, Oid relid)
{
	char		kind = get_rel_relkind(relid);
	char		persistence = get_rel_persistence(relid);

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("referenced relation \"%s\" is not a table", get_rel_name(relid)),
				 op_position(op)));
	if (persistence != RELPERSISTENCE_PERMANENT && (persistence == RELPERSISTENCE_TEMP || get_rel_persistence(t->relid) == RELPERSISTENCE_PERMANENT))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("constraints on permanent tables may reference only permanent tables"),
				 op_position(op)));
}

/* The referenced table's shape as it is at this operation. */
static Table *
find_referenced(const MigPlan *p, const Table *t, const Operation *op)
{
	const RangeVar *rv = op->constraint->pktable;
	Oid			relid;
	ListCell   *lc;

	foreach(lc, rv->schemaname && strcmp(rv->schemaname, p->schema) != 0 ? NIL : p->tables)
	{
		Table	   *other = lfirst(lc);

		if (!other->dropped && strcmp(other->new_name, rv->relname) == 0)
		{
			check_referenced(t, op, other->relid);
			return other;
		}
	}
	relid = referenced_relid(p, rv);
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" does not exist", rv->relname),
				 source_position(op->source, op->source ? rv->location : -1)));
	check_referenced(t, op, relid);
	return shape_bare(relid);
}

/* A present column by its attribute number. */
static Column *
column_by_att(const Table *t, AttrNumber att)
{
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->att == att)
			return c;
	}
	elog(ERROR, "table \"%s\" has no column %d", t->name, att);
	return NULL;				/* keep compiler quiet */
}

/* Columns of a table by their attribute numbers, "1 2" or "{1,2}". */
static List *
columns_by_atts(const Table *t, const char *atts)
{
	List	   *columns = NIL;

	while (*atts)
	{
		char	   *end;
		long		att = strtol(atts, &end, 10);

		if (end == atts)
		{
			atts++;
			continue;
		}
		columns = lappend(columns, column_by_att(t, (AttrNumber) att));
		atts = end;
	}
	return columns;
}

/* The columns of names in a snapshot. */
static List *
columns_in(List *snapshot, List *names)
{
	List	   *columns = NIL;
	ListCell   *lc;
	ListCell   *sc;

	foreach(lc, names)
		foreach(sc, snapshot)
		{
			SnapshotColumn *s = lfirst(sc);

			if (strcmp(s->name, strVal(lfirst(lc))) == 0)
				columns = lappend(columns, s->column);
		}
	return columns;
}

/* The columns of an immediate unique key that this migration adds; NIL if it is another kind of index. */
static List *
new_key_columns(const NewIndex *n)
{
	List	   *names = NIL;
	ListCell   *lc;

	if (n->index == NULL || !n->index->unique || n->index->whereClause || n->index->deferrable || (n->key && n->key->deferrable))
		return NIL;
	foreach(lc, n->index->indexParams)
	{
		IndexElem  *e = lfirst(lc);

		if (e->name == NULL)
			return NIL;
		names = lappend(names, makeString(e->name));
	}
	return columns_in(n->shape, names);
}

/* Does an operation drop an index? */
static bool
index_goes(const Table *t, Oid index)
{
	ListCell   *lc;

	foreach(lc, t->indexes)
		if (((OldIndex *) lfirst(lc))->oid == index)
			return ((OldIndex *) lfirst(lc))->dropped;
	return false;
}

/* Are two lists the same columns, in any order? */
static bool
same_columns(List *a, List *b)
{
	return list_length(a) == list_length(b) && list_difference_ptr(a, b) == NIL && list_difference_ptr(b, a) == NIL;
}

/* The primary key's columns, when none are named. */
static List *
primary_key(const Table *t, const Operation *op)
{
	SqlRows    *rows;
	ListCell   *lc;

	foreach(lc, t->new_indexes)
	{
		NewIndex   *n = lfirst(lc);

		if (n->key && n->key->contype == CONSTR_PRIMARY)
			return n->index ? new_key_columns(n) : n->columns;
	}
	rows = sql_queryp("SELECT conkey, conindid FROM pg_constraint WHERE conrelid = $1 AND contype = 'p'", P_oid(t->relid));
	if (rows->n == 0 || index_goes(t, sql_oid(rows->v[0][1])))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no primary key for referenced table \"%s\"", t->new_name),
				 op_position(op)));
	return columns_by_atts(t, rows->v[0][0]);
}

/* Raise unless the referenced columns are those of a unique index that is there, or that this migration makes. */
static void
check_unique(const ForeignKey *f)
{
	const Table *t = f->referenced;
	SqlRows    *rows;
	bool		deferrable = false;
	ListCell   *lc;

	foreach(lc, t->new_indexes)
		if (same_columns(new_key_columns(lfirst(lc)), f->referenced_columns))
			return;
	rows = sql_queryp("SELECT indexrelid, (indkey::int2[])[0:indnkeyatts - 1], indimmediate FROM pg_index"
					  " WHERE indrelid = $1 AND indisunique AND indisvalid AND indpred IS NULL AND indexprs IS NULL ORDER BY 1", P_oid(t->relid));
	for (uint64 r = 0; r < rows->n; r++)
	{
		char	   *keys = strchr(rows->v[r][1], '{');	/* behind the array's bounds */

		if (index_goes(t, sql_oid(rows->v[r][0])) || !same_columns(columns_by_atts(t, keys), f->referenced_columns))
			continue;
		if (rows->v[r][2][0] == 't')
			return;
		deferrable = true;
	}
	if (deferrable)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot use a deferrable unique constraint for referenced table \"%s\"", t->new_name),
				 op_position(f->op)));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_FOREIGN_KEY),
			 errmsg("there is no unique constraint matching given keys for referenced table \"%s\"", t->new_name),
			 op_position(f->op)));
}

/* Raise 42501 unless the current user may refer to these columns. */
static void
check_may_refer(const ForeignKey *f)
{
	ListCell   *lc;

	if (pg_class_aclcheck(f->referenced->relid, GetUserId(), ACL_REFERENCES) == ACLCHECK_OK)
		return;
	foreach(lc, f->referenced_columns)
		if (pg_attribute_aclcheck(f->referenced->relid, ((Column *) lfirst(lc))->att, GetUserId(), ACL_REFERENCES) != ACLCHECK_OK)
			aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, f->referenced->name);
}

void
foreign_key_add(MigPlan *p, Table *t, const Operation *op)
{
	ForeignKey *f = apply_add_foreign_key(t, op);
	ListCell   *lc;

	f->referenced = find_referenced(p, t, op);
	if (op->constraint->pk_attrs == NIL)
		f->referenced_columns = primary_key(f->referenced, op);
	foreach(lc, op->constraint->pk_attrs)
		f->referenced_columns = lappend(f->referenced_columns, foreign_key_column(f->referenced, strVal(lfirst(lc)), op));
	if (list_length(f->columns) != list_length(f->referenced_columns))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FOREIGN_KEY),
				 errmsg("number of referencing and referenced columns for foreign key disagree"),
				 op_position(op)));
	check_may_refer(f);
	check_unique(f);
}

/* ---- its SQL ---- */

/* "a, b": physical columns */
static char *
column_names(List *columns)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, columns)
		appendStringInfo(&buf, "%s%s", buf.len ? ", " : "", quote_identifier(column_physical(lfirst(lc))));
	return buf.data;
}

static char *
qualified(const Table *t)
{
	return sql_qualified(t->schema, t->name);
}

/* An action in SQL, NULL for the default. */
static const char *
action_sql(char action)
{
	switch (action)
	{
		case FKCONSTR_ACTION_RESTRICT:
			return "RESTRICT";
		case FKCONSTR_ACTION_CASCADE:
			return "CASCADE";
		case FKCONSTR_ACTION_SETNULL:
			return "SET NULL";
		case FKCONSTR_ACTION_SETDEFAULT:
			return "SET DEFAULT";
		default:
			return NULL;
	}
}

/* " DEFERRABLE INITIALLY DEFERRED" as far as it is so */
static const char *
deferrable_sql(const ForeignKey *f)
{
	if (!f->deferrable)
		return "";
	return f->deferred ? " DEFERRABLE INITIALLY DEFERRED" : " DEFERRABLE";
}

char *
foreign_key_defaults(const ForeignKey *f)
{
	List	   *columns = f->on_update == FKCONSTR_ACTION_SETDEFAULT || f->set_columns == NIL ? f->columns : f->set_columns;
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, f->on_update == FKCONSTR_ACTION_SETDEFAULT || f->on_delete == FKCONSTR_ACTION_SETDEFAULT ? columns : NIL)
	{
		Column	   *c = lfirst(lc);

		if (c->second && c->default_sql && !column_brings_default(c))
			appendStringInfo(&buf, " ALTER COLUMN %s SET DEFAULT %s,", c->hidden, c->default_sql);
	}
	return buf.data;
}

char *
foreign_key_sql(const ForeignKey *f)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "ALTER TABLE %s%s ADD CONSTRAINT %s FOREIGN KEY (%s) REFERENCES %s (%s)", qualified(f->table), foreign_key_defaults(f),
					 quote_identifier(f->hidden), column_names(f->columns), qualified(f->referenced), column_names(f->referenced_columns));
	if (f->match == FKCONSTR_MATCH_FULL)
		appendStringInfoString(&buf, " MATCH FULL");
	if (action_sql(f->on_update))
		appendStringInfo(&buf, " ON UPDATE %s", action_sql(f->on_update));
	if (action_sql(f->on_delete))
		appendStringInfo(&buf, " ON DELETE %s", action_sql(f->on_delete));
	if (f->set_columns)
		appendStringInfo(&buf, " (%s)", column_names(f->set_columns));
	appendStringInfo(&buf, "%s NOT VALID", deferrable_sql(f));
	return buf.data;
}

char *
foreign_key_trigger_sql(const ForeignKey *f)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE CONSTRAINT TRIGGER %s AFTER INSERT OR UPDATE ON %s FROM %s%s FOR EACH ROW EXECUTE FUNCTION mig.refers('%d', %s, %s, %s, '%c', %s",
					 quote_identifier(f->trigger), qualified(f->table), qualified(f->referenced), deferrable_sql(f), f->number, quote_literal_cstr(f->name),
					 quote_literal_cstr(f->table->new_name), quote_literal_cstr(f->referenced->new_name), f->match, quote_literal_cstr(f->lookup));
	foreach(lc, f->columns)
		appendStringInfo(&buf, ", %s, %s", quote_literal_cstr(column_physical(lfirst(lc))), quote_literal_cstr(((Column *) lfirst(lc))->name));
	appendStringInfoChar(&buf, ')');
	return buf.data;
}

char *
foreign_key_finish_sql(const ForeignKey *f)
{
	char	   *table = sql_qualified(f->table->schema, f->table->new_name);
	char	   *sql = psprintf("ALTER TABLE %s RENAME CONSTRAINT %s TO %s", table, quote_identifier(f->hidden), quote_identifier(f->name));

	if (strcmp(f->hidden, f->name) == 0)
		return NULL;
	return f->comment ? psprintf("%s;\nCOMMENT ON CONSTRAINT %s ON %s IS %s", sql, quote_identifier(f->name), table, quote_literal_cstr(f->comment)) : sql;
}

/* ---- the whole list ---- */

/*
 * The operator that a foreign key compares a pair of columns with, found as the server finds it; *right becomes the type that the referencing value is
 * coerced to.
 */
static Oid
key_operator(Oid referenced, Oid referencing, Oid *right)
{
	Oid			opclass = GetDefaultOpClass(referenced, BTREE_AM_OID);
	Oid			family = OidIsValid(opclass) ? get_opclass_family(opclass) : InvalidOid;
	Oid			input = OidIsValid(opclass) ? get_opclass_input_type(opclass) : InvalidOid;
	Oid			actual[2] = {referenced, referencing};
	Oid			target[2] = {input, input};
	Oid			operator;

	if (!OidIsValid(opclass))
		return InvalidOid;
	*right = getBaseType(referencing);
	operator = get_opfamily_member(family, input, *right, BTEqualStrategyNumber);
	if (OidIsValid(operator) && OidIsValid(get_opfamily_member(family, *right, *right, BTEqualStrategyNumber)))
		return operator;
	*right = input;
	return can_coerce_type(2, actual, target, COERCION_IMPLICIT) ? get_opfamily_member(family, input, input, BTEqualStrategyNumber) : InvalidOid;
}

char *
foreign_key_condition(const ForeignKey *f, const char *prefix)
{
	StringInfoData buf;
	ListCell   *a;
	ListCell   *b;

	initStringInfo(&buf);
	forboth(a, f->columns, b, f->referenced_columns)
	{
		Column	   *c = lfirst(a);
		Column	   *r = lfirst(b);
		Oid			right;
		Oid			operator = key_operator(r->type, c->type, &right);

		if (!OidIsValid(operator))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("foreign key constraint \"%s\" cannot be implemented", f->name),
					 errdetail("Key columns \"%s\" and \"%s\" are of incompatible types: %s and %s.", c->name, r->name,
							   format_type_be(c->type), format_type_be(r->type)),
					 f->op ? op_position(f->op) : 0));
		if (buf.len)
			appendStringInfoString(&buf, " AND ");
		generate_operator_clause(&buf, psprintf("x.%s", quote_identifier(column_physical(r))), r->type, operator,
								 psprintf("%s%d", prefix, foreach_current_index(a) + 1), c->type);
	}
	return buf.data;
}

/* The same columns in a table that joined the plan, or has been changed, after they were looked up. */
static List *
columns_again(const Table *t, List *columns)
{
	List	   *again = NIL;
	ListCell   *lc;

	foreach(lc, columns)
		again = lappend(again, column_by_att(t, ((Column *) lfirst(lc))->att));
	return again;
}

/* Is any of the columns dropped, or has it a physical column of its own? */
static bool
any_column(List *columns, bool dropped)
{
	ListCell   *lc;

	foreach(lc, columns)
	{
		Column	   *c = lfirst(lc);

		if (dropped ? c->dropped : c->second)
			return true;
	}
	return false;
}

/* Is it a table that this migration makes? */
static bool
is_created(const MigPlan *p, const Table *t)
{
	if (strcmp(t->schema, p->inner_schema) == 0)
		return true;
	return strcmp(t->schema, p->schema) == 0 && name_in(p->created, t->name) && !name_in(p->parked, t->name);
}

/* Settle what a new one refers to after all operations. */
static void
finish_referenced(const MigPlan *p, ForeignKey *f)
{
	if (list_member_ptr(p->tables, f->referenced))
		;
	else if (plan_known_table(p, f->referenced->relid))
	{
		f->referenced = plan_known_table(p, f->referenced->relid);
		f->referenced_columns = columns_again(f->referenced, f->referenced_columns);
	}
	else if (get_rel_name(f->referenced->relid) && is_created(p, f->referenced))
	{
		f->referenced = shape_bare(f->referenced->relid);
		f->referenced_columns = columns_again(f->referenced, f->referenced_columns);
		f->referenced->relid = InvalidOid;	/* it will have another one */
	}
	if (f->referenced->dropped || f->referenced->name == NULL || any_column(f->referenced_columns, true))
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("foreign key \"%s\" of this migration refers to what the migration drops", f->name),
				 errhint("Leave out the one or the other."),
				 op_position(f->op)));
}

/* Is its name free on the table as it is now? */
static bool
name_is_free(const ForeignKey *f)
{
	return sql_textp("SELECT 1 FROM pg_constraint WHERE conrelid = $1 AND conname = $2 UNION ALL SELECT 1 FROM pg_trigger WHERE tgrelid = $1 AND tgname = $2",
					 P_oid(f->table->relid), P_text(f->name)) == NULL;
}

/* Append one to the plan's, numbered among those of its table. */
static void
append(MigPlan *p, ForeignKey *f)
{
	ListCell   *lc;

	f->number = 1;
	foreach(lc, p->foreign_keys)
		if (((ForeignKey *) lfirst(lc))->table->relid == f->table->relid)
			f->number++;
	f->hidden = psprintf("_mig_f%d", f->number);
	f->lookup = foreign_key_condition(f, "$");
	p->foreign_keys = lappend(p->foreign_keys, f);
}

/* The new ones of a table. */
static void
finish_new(MigPlan *p, Table *t)
{
	ListCell   *lc;

	foreach(lc, t->foreign_keys)
	{
		ForeignKey *f = lfirst(lc);

		if (any_column(f->columns, true))	/* it goes with its column */
		{
			t->foreign_keys = foreach_delete_current(t->foreign_keys, lc);
			continue;
		}
		finish_referenced(p, f);
		append(p, f);
		/* the name is that of what clients meet first: SET CONSTRAINTS and their errors name it */
		if (any_column(f->columns, false))
			f->hidden = name_is_free(f) ? f->name : f->hidden;
		else
			f->trigger = name_is_free(f) ? f->name : psprintf("!%s", f->hidden);
	}
}

/* A table of the plan, or one that gets another foreign key beside it. */
static Table *
side(const MigPlan *p, Oid relid)
{
	Table	   *t = plan_known_table(p, relid);

	return t ? t : shape_bare(relid);
}

/* Raise unless a table that the definition does not name may get another foreign key. */
static void
check_referencing(const Table *t, const char *name)
{
	char		kind = get_rel_relkind(t->relid);

	if (!mig_relation_ownercheck(t->relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, t->name);
	if (kind != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign key \"%s\" of partitioned table \"%s\" refers to a changed column", name, t->name),
				 errdetail("PostgreSQL cannot add a foreign key to a partitioned table without checking its rows at once."),
				 errhint("Drop the foreign key before the migration and add it again afterwards.")));
}

/* Make again a present foreign key. v: see former_keys() */
static void
make_again(MigPlan *p, char **v)
{
	ForeignKey *f = palloc0(sizeof(ForeignKey));
	ListCell   *lc;

	f->table = side(p, sql_oid(v[1]));
	f->referenced = side(p, sql_oid(v[2]));
	f->former = f->name = v[0];
	f->columns = columns_by_atts(f->table, v[3]);
	f->referenced_columns = columns_by_atts(f->referenced, v[4]);
	f->valid = v[11][0] == 't';
	if (f->table->dropped || any_column(f->columns, true))
		return;
	foreach(lc, f->table->constraints)
	{
		Constr	   *k = lfirst(lc);

		if (strcmp(k->name, f->former) != 0)
			continue;
		if (k->dropped)
			return;
		k->remade = true;
		f->valid = k->validated;	/* the definition may validate it */
		f->name = k->new_name ? k->new_name : k->name;
	}
	if (!list_member_ptr(p->tables, f->table))
		check_referencing(f->table, f->name);
	f->match = v[5][0];
	f->on_update = v[6][0];
	f->on_delete = v[7][0];
	f->set_columns = v[8] ? columns_by_atts(f->table, v[8]) : NIL;
	f->deferrable = v[9][0] == 't';
	f->deferred = v[10][0] == 't';
	f->comment = v[12];
	append(p, f);
}

/* The present foreign keys of or to changed columns of a table, but those that the tables before it have brought. */
static void
former_keys(MigPlan *p, const Table *t, List **seen)
{
	SqlRows    *rows = sql_queryp("SELECT k.conname, k.conrelid, k.confrelid, k.conkey, k.confkey, k.confmatchtype, k.confupdtype, k.confdeltype, k.confdelsetcols,"
								  " k.condeferrable, k.condeferred, k.convalidated, obj_description(k.oid, 'pg_constraint'), k.oid"
								  " FROM pg_constraint k WHERE k.contype = 'f' AND k.conparentid = 0"
								  " AND (k.conrelid = $1 AND k.conkey && $2::int2[] OR k.confrelid = $1 AND k.confkey && $2::int2[])"
								  " ORDER BY k.conrelid = $1 DESC, k.conrelid::regclass::text, k.conname",
								  P_oid(t->relid), P_text(atts_literal(shape_changed_atts(t))));

	for (uint64 r = 0; r < rows->n; r++)
	{
		Oid			oid = sql_oid(rows->v[r][13]);

		if (list_member_oid(*seen, oid))
			continue;
		*seen = lappend_oid(*seen, oid);
		make_again(p, rows->v[r]);
	}
}

void
foreign_keys_finish(MigPlan *p)
{
	List	   *seen = NIL;
	ListCell   *lc;

	foreach(lc, p->tables)
		if (!((Table *) lfirst(lc))->dropped)
			former_keys(p, lfirst(lc), &seen);
	foreach(lc, p->tables)
		if (!((Table *) lfirst(lc))->dropped)
			finish_new(p, lfirst(lc));
	foreign_keys_lock(p);
}

void
foreign_keys_lock(const MigPlan *p)
{
	List	   *wants = NIL;
	ListCell   *lc;

	foreach(lc, p->foreign_keys)
	{
		ForeignKey *f = lfirst(lc);

		if (!list_member_ptr(p->tables, f->table))
			wants = lappend(wants, lock_want(f->table->relid, p->lock));
	}
	if (wants)
		(void) lock_relations(wants, lock_attempts());
}

List *
foreign_keys_going(const MigPlan *p)
{
	List	   *going = NIL;
	ListCell   *lc;
	ListCell   *kc;

	foreach(lc, p->foreign_keys)
	{
		ForeignKey *f = lfirst(lc);

		if (f->former)
			going = lappend_oid(going, get_relation_constraint_oid(f->table->relid, f->former, false));
	}
	foreach(lc, p->tables)
	{
		Table	   *t = lfirst(lc);

		foreach(kc, t->constraints)
		{
			Constr	   *k = lfirst(kc);

			if (k->type == CONSTRAINT_FOREIGN && (t->dropped || k->dropped || bms_overlap(k->columns, shape_dropped_atts(t))))
				going = list_append_unique_oid(going, k->oid);
		}
	}
	return going;
}

ForeignKey *
foreign_key_present(const MigPlan *p, Oid constraint)
{
	SqlRows    *rows = sql_queryp("SELECT conname, conrelid, confrelid FROM pg_constraint WHERE oid = $1", P_oid(constraint));
	ForeignKey *f = palloc0(sizeof(ForeignKey));

	f->name = rows->v[0][0];
	f->table = side(p, sql_oid(rows->v[0][1]));
	f->referenced = side(p, sql_oid(rows->v[0][2]));
	return f;
}
