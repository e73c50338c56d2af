/*
 * plan_statement.c
 *		The definition's own statements: what is run as it is written, in expand or in the swap.
 *
 * Owns no state. Statements of expand are run on trial here, in the subtransaction of plan_compile(): what comes after them in the definition finds what they
 * make. A table whose name is still another one's, which the migration renames or drops, waits in the hidden schema ("parked").
 */
#include "base/compat.h"

#include "access/relation.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/lock.h"
#include "base/settings.h"
#include "base/sql.h"
#include "compile/plan_statement.h"
#include "compile/plan_steps.h"

Table *
plan_known_table(const MigPlan *plan, Oid relid)
{
	ListCell   *lc;

	foreach(lc, plan->tables)
		if (((Table *) lfirst(lc))->relid == relid)
			return lfirst(lc);
	return NULL;
}

/* ---- text and settings ---- */

char *
statement_search_path(const char *schema)
{
	StringInfoData path;
	ListCell   *lc;

	initStringInfo(&path);
	appendStringInfoString(&path, quote_identifier(schema));
	foreach(lc, fetch_search_path(false))
	{
		char	   *other = get_namespace_name(lfirst_oid(lc));

		if (other && lfirst_oid(lc) != PG_CATALOG_NAMESPACE && !isAnyTempNamespace(lfirst_oid(lc)) && strcmp(other, schema) != 0)
			appendStringInfo(&path, ", %s", quote_identifier(other));
	}
	return path.data;
}

/* The search_path of one statement. */
static char *
path_of(const MigPlan *p, const Statement *st)
{
	return st->parked ? psprintf("%s, %s", quote_identifier(p->inner_schema), p->search_path) : p->search_path;
}

/* A text that ends in a comment gets a newline before the semicolon. */
char *
statement_sql(const MigPlan *p, const Statement *st, const char *sql)
{
	return psprintf("SET LOCAL search_path = %s;\n%s%s%s;\nSET LOCAL search_path = pg_catalog, pg_temp%s", path_of(p, st),
					st->unchecked ? "SET LOCAL check_function_bodies = off;\n" : "", sql, strstr(sql, "--") ? "\n" : "",
					st->unchecked ? ";\nSET LOCAL check_function_bodies TO DEFAULT" : "");
}

/* Append an operation's statement to a list of them. */
static Statement *
add_statement(MigPlan *p, List **list, const Operation *op)
{
	Statement  *st = palloc0(sizeof(Statement));

	st->sql = op->sql;
	st->note = op->note;
	st->parked = op->table && name_in(p->parked, op->table);
	*list = lappend(*list, st);
	return st;
}

/* Run a statement on trial. */
static void
try_statement(const MigPlan *p, const Statement *st)
{
	int			level = NewGUCNestLevel();

	setting_set("search_path", path_of(p, st));
	settings_own(OWN_HIDDEN);
	if (st->unchecked)
		setting_set("check_function_bodies", "off");
	setting_set("lock_timeout", psprintf("%dms", mig_lock_timeout));
	(void) sql_exec(st->sql);
	AtEOXact_GUC(false, level);
}

/* The only statement of a text; NULL if there are several. */
static Node *
only_statement(const char *sql)
{
	List	   *statements = raw_parser(sql, RAW_PARSE_DEFAULT);

	return list_length(statements) == 1 ? linitial_node(RawStmt, statements)->stmt : NULL;
}

/* Does a statement make a function whose body the server would look up names of? They may be those of the version. */
static bool
is_sql_function(const char *sql)
{
	Node	   *statement = only_statement(sql);
	ListCell   *lc;

	if (statement == NULL || !IsA(statement, CreateFunctionStmt))
		return false;
	foreach(lc, ((CreateFunctionStmt *) statement)->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "language") == 0)
			return strcmp(defGetString(option), "sql") == 0;
	}
	return false;
}

/* Closed views of versions give a type up before it is dropped. */
static char *
free_type_sql(const char *type)
{
	return psprintf("SELECT mig.free_type(pg_catalog.to_regtype(%s));\n", quote_literal_cstr(type));
}

/* A DROP of something that has just been made, as it reads when other things of that name come and go: with its schema. */
static char *
certain_undo(const MigPlan *p, char *undo)
{
	Node	   *statement = only_statement(undo);
	int			level = NewGUCNestLevel();
	DropStmt   *drop;
	Relation	relation = NULL;
	ObjectAddress object;
	const char *words;

	if (statement == NULL || !IsA(statement, DropStmt))
		return undo;
	setting_set("search_path", p->search_path);
	drop = (DropStmt *) statement;
	object = get_object_address(drop->removeType, linitial(drop->objects), &relation, AccessShareLock, true);
	AtEOXact_GUC(false, level);
	if (relation)
		relation_close(relation, NoLock);
	if (!OidIsValid(object.objectId))
		return undo;
	words = pnstrdup(undo, strcspn(undo + strlen("DROP "), " ") + strlen("DROP "));
	return psprintf("%s%s IF EXISTS %s", object.classId == TypeRelationId ? free_type_sql(getObjectIdentity(&object, false)) : "",
					words, getObjectIdentity(&object, false));
}

/* ---- tables ---- */

/* The schema in which a created table is, while the plan is made. */
static char *
created_schema(const MigPlan *p, const char *name)
{
	return name_in(p->parked, name) ? p->inner_schema : p->schema;
}

/* The OID of a table that the definition has created, InvalidOid if it is gone or never was. */
static Oid
created_relid(const MigPlan *p, const char *name)
{
	Oid			schema = get_namespace_oid(created_schema(p, name), true);

	if (!OidIsValid(schema) || !name_in(p->created, name))
		return InvalidOid;
	return get_relname_relid(name, schema);
}

bool
plan_has_created(const MigPlan *p, const char *name)
{
	return OidIsValid(created_relid(p, name));
}

/* Refuse a statement for another schema. */
static void
check_schema(const MigPlan *p, const Operation *op)
{
	if (op->schema && strcmp(op->schema, p->schema) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s \"%s.%s\" is not in schema \"%s\"", op->table ? "table" : "object", op->schema, op->table ? op->table : op->name, p->schema),
				 errdetail("A migration makes tables and other things in one schema."),
				 errhint("Give options {\"schema\": \"%s\"}, or make a migration for each schema.", op->schema),
				 source_position(op->source, op->location)));
}

/* A name is still that of a table which the migration renames or drops: one created under it has to wait. */
static void
park_name(MigPlan *p, const char *name)
{
	Oid			other = get_relname_relid(name, get_namespace_oid(p->schema, false));
	Table	   *former = OidIsValid(other) ? plan_known_table(p, other) : NULL;

	if (former == NULL || name_in(p->parked, name) || (!former->dropped && strcmp(former->new_name, name) == 0))
		return;
	if (p->parked == NIL)
		(void) sql_exec(psprintf("CREATE SCHEMA %s", quote_identifier(p->inner_schema)));
	p->parked = lappend(p->parked, pstrdup(name));
}

void
plan_create_table(MigPlan *p, const Operation *op)
{
	Statement  *st;

	check_schema(p, op);
	park_name(p, op->table);
	if (op->if_exists && !name_in(p->parked, op->table) && OidIsValid(get_relname_relid(op->table, get_namespace_oid(p->schema, false))))
		return;
	st = add_statement(p, &p->early, op);
	st->relation = sql_qualified(p->schema, op->table);
	p->created = lappend(p->created, op->table);
	try_statement(p, st);
}

/* ---- other statements ---- */

/* A created table gets another name, maybe one that it has to wait for. */
static void
rename_created(MigPlan *p, Statement *st, char *new_name)
{
	const char *schema = quote_identifier(p->inner_schema);

	p->created = lappend(p->created, new_name);
	if (st->parked && !name_in(p->parked, new_name))
		p->parked = lappend(p->parked, new_name);
	if (st->parked)
		return;
	park_name(p, new_name);
	if (!name_in(p->parked, new_name))
		return;
	st->sql = psprintf("ALTER TABLE %s SET SCHEMA %s;\n%s", st->relation, schema, st->sql);
	st->parked = true;
}

void
plan_plain_statement(MigPlan *p, const Operation *op)
{
	Statement  *st;

	check_schema(p, op);
	if (op->table && !plan_has_created(p, op->table))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" is not created by this migration: it exists", op->table),
				 errhint("Leave CREATE TABLE IF NOT EXISTS out."),
				 source_position(op->source, op->location)));
	st = add_statement(p, &p->early, op);
	if (op->table)
		st->relation = sql_qualified(p->schema, op->table);
	if (op->table && op->new_name)
		rename_created(p, st, op->new_name);
	st->unchecked = is_sql_function(op->sql);
	try_statement(p, st);
	if (op->table == NULL && op->undo)
		st->undo = certain_undo(p, op->undo);
}

void
plan_sql_statement(MigPlan *p, const Operation *op)
{
	add_statement(p, &p->early, op)->undo = op->undo;
}

/*
 * Raise if what a DROP is about does not exist, or is not the caller's: at once, not in the swap. Returns what must be done before.
 */
static char *
check_drop(const MigPlan *p, const DropStmt *drop)
{
	int			level = NewGUCNestLevel();
	char	   *before = "";
	ListCell   *lc;

	setting_set("search_path", p->search_path);
	foreach(lc, drop->objects)
	{
		Relation	relation = NULL;
		ObjectAddress object = get_object_address(drop->removeType, lfirst(lc), &relation, AccessShareLock, drop->missing_ok);

		if (OidIsValid(object.objectId))
			check_object_ownership(GetUserId(), drop->removeType, object, lfirst(lc), relation);
		if (OidIsValid(object.objectId) && object.classId == TypeRelationId)
			before = psprintf("%s%s", before, free_type_sql(getObjectIdentity(&object, false)));
		if (relation)
			relation_close(relation, NoLock);
	}
	AtEOXact_GUC(false, level);
	return before;
}

/* Raise if a relation that a late statement changes is not there, is of another kind, or not the caller's. */
static void
check_changed_relation(const RangeVar *relation, ObjectType type, bool missing_ok)
{
	Oid			relid = RangeVarGetRelid(relation, NoLock, missing_ok);
	char		kind = OidIsValid(relid) ? get_rel_relkind(relid) : '\0';
	bool		right = type == OBJECT_VIEW ? kind == RELKIND_VIEW
		: type == OBJECT_MATVIEW ? kind == RELKIND_MATVIEW
		: type == OBJECT_SEQUENCE ? kind == RELKIND_SEQUENCE
		: type == OBJECT_INDEX ? kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX : true;

	if (!OidIsValid(relid))
		return;
	if (!right)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("relation \"%s\" is of another kind", relation->relname)));
	if (!mig_relation_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(kind), relation->relname);
}

/* Raise if something that a late statement changes is not there, or not the caller's. */
static void
check_changed_object(ObjectType type, Node *object, bool missing_ok)
{
	Relation	relation = NULL;
	ObjectAddress address = get_object_address(type, object, &relation, AccessShareLock, missing_ok);

	if (OidIsValid(address.objectId))
		check_object_ownership(GetUserId(), type, address, object, relation);
	if (relation)
		relation_close(relation, NoLock);
}

/* Check what can be checked of a late statement now. An index may be one that the migration makes. */
static void
check_late(const MigPlan *p, Node *statement)
{
	int			level = NewGUCNestLevel();

	setting_set("search_path", p->search_path);
	if (IsA(statement, RenameStmt) && ((RenameStmt *) statement)->relation)
		check_changed_relation(((RenameStmt *) statement)->relation, ((RenameStmt *) statement)->renameType, ((RenameStmt *) statement)->missing_ok);
	else if (IsA(statement, RenameStmt))
		check_changed_object(((RenameStmt *) statement)->renameType, ((RenameStmt *) statement)->object, ((RenameStmt *) statement)->missing_ok);
	else if (IsA(statement, AlterTableStmt))
		check_changed_relation(((AlterTableStmt *) statement)->relation, ((AlterTableStmt *) statement)->objtype, ((AlterTableStmt *) statement)->missing_ok);
	else if (IsA(statement, AlterSeqStmt))
		check_changed_relation(((AlterSeqStmt *) statement)->sequence, OBJECT_SEQUENCE, ((AlterSeqStmt *) statement)->missing_ok);
	else if (IsA(statement, AlterOwnerStmt))
		check_changed_object(((AlterOwnerStmt *) statement)->objectType, ((AlterOwnerStmt *) statement)->object, false);
	else if (IsA(statement, CommentStmt) && ((CommentStmt *) statement)->objtype != OBJECT_INDEX)
		check_changed_object(((CommentStmt *) statement)->objtype, ((CommentStmt *) statement)->object, false);
	AtEOXact_GUC(false, level);
}

/* Row-level security and column grants do not go together in a version's view. */
static void
check_row_security(const Operation *op, const Table *t)
{
	if (pg_strncasecmp(op->tail, " enable", strlen(" enable")) != 0 || !statement_mentions(op->tail, "row"))
		return;
	if (sql_textp("SELECT 1 FROM pg_attribute WHERE attrelid = $1 AND attacl IS NOT NULL AND NOT attisdropped LIMIT 1", P_oid(t->relid)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("row-level security cannot be enabled on table \"%s\", which has column grants", t->name),
				 errdetail("A version's view checks either the one or the other."),
				 errhint("Grant on the whole table instead, then migrate."),
				 source_position(op->source, op->location)));
}

void
plan_late_statement(MigPlan *p, const Operation *op)
{
	Statement  *st = add_statement(p, &p->late, op);

	if (op->tail)
	{
		st->table = plan_table(p, op, op->table);
		st->column = op->column ? shape_column(st->table, op->column, false) : NULL;
		st->tail = op->tail;
		st->shape = shape_snapshot(st->table);
		st->op = op;
		check_row_security(op, st->table);
	}
	else
	{
		Node	   *statement = only_statement(op->sql);

		if (statement)
			check_late(p, statement);
		if (statement && IsA(statement, DropStmt))
			st->sql = psprintf("%s%s", check_drop(p, (DropStmt *) statement), op->sql);
	}
}

/* ---- functions ---- */

/* Access rights of a function, for its copy in the version schema: its owner, and who may execute it. */
static char *
function_rights_sql(Oid function, const char *words, const char *copy)
{
	char	   *owner = sql_textp("SELECT format('%I', pg_get_userbyid(proowner)) FROM pg_proc WHERE oid = $1 AND proowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user)",
								  P_oid(function));
	char	   *grants = sql_textp("SELECT string_agg(CASE WHEN a.grantee = 0 THEN format('GRANT EXECUTE ON %2$s %1$s TO PUBLIC', $2, $3)"
								   " ELSE format('GRANT EXECUTE ON %2$s %1$s TO %3$I%4$s', $2, $3, pg_get_userbyid(a.grantee), CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END) END, E';\n')"
								   " FROM pg_proc p, aclexplode(p.proacl) a WHERE p.oid = $1 AND a.grantee <> p.proowner",
								   P_oid(function), P_text(copy), P_text(words));
	bool		own = sql_textp("SELECT 1 FROM pg_proc WHERE oid = $1 AND proacl IS NOT NULL", P_oid(function)) != NULL;

	return psprintf("%s%s%s%s%s", own ? psprintf(";\nREVOKE ALL ON %s %s FROM PUBLIC", words, copy) : "", grants ? ";\n" : "", grants ? grants : "",
					owner ? psprintf(";\nALTER %s %s OWNER TO %s", words, copy, owner) : "", "");
}

/* The address of what a DROP names, among what is in the base schema; not valid when there is none. */
static ObjectAddress
address_in_base(const MigPlan *p, const DropStmt *drop)
{
	int			level = NewGUCNestLevel();
	Relation	relation = NULL;
	ObjectAddress object;
	Node	   *named = linitial(drop->objects);

	setting_set("search_path", p->search_path);
	if (IsA(named, ObjectWithArgs))	/* arguments' types are looked up everywhere, the function in the base schema only */
		((ObjectWithArgs *) named)->objname = list_make2(makeString(p->schema), llast(((ObjectWithArgs *) named)->objname));
	object = get_object_address(drop->removeType, named, &relation, AccessShareLock, true);
	AtEOXact_GUC(false, level);
	return object;
}

/*
 * CREATE OR REPLACE of a function that exists: the new one is in the version schema, where only the version's clients find it, until the swap. On trial it replaces
 * the old one, as it will then.
 */
static void
replace_function(MigPlan *p, const Operation *op, Oid function, const char *words)
{
	char	   *arguments = sql_textp("SELECT pg_get_function_identity_arguments($1)", P_oid(function));
	char	   *copy = psprintf("%s(%s)", sql_qualified(p->version_schema, op->name), arguments);
	Statement	trial = {.sql = op->sql,.unchecked = is_sql_function(op->sql)};
	Statement  *st;

	try_statement(p, &trial);
	st = add_statement(p, &p->early, op);
	st->sql = psprintf("%.*s%s%s%s%s", op->name_offset, op->sql, sql_qualified(p->version_schema, op->name), op->sql + op->name_offset + op->name_length,
					   strstr(op->sql, "--") ? "\n" : "", function_rights_sql(function, words, copy));
	st->undo = psprintf("DROP %s IF EXISTS %s", words, copy);
	st->unchecked = true;
	st->note = psprintf("clients of the new version call this one; %s is replaced in the swap", sql_qualified(p->schema, op->name));
	st = add_statement(p, &p->late, op);
	st->sql = psprintf("DROP %s %s;\n%s", words, copy, op->sql);
	st->unchecked = true;
}

void
plan_replace_function(MigPlan *p, const Operation *op)
{
	DropStmt   *drop = castNode(DropStmt, only_statement(op->undo));
	ObjectAddress function;

	check_schema(p, op);
	function = address_in_base(p, drop);
	if (OidIsValid(function.objectId))
		replace_function(p, op, function.objectId, drop->removeType == OBJECT_PROCEDURE ? "PROCEDURE" : "FUNCTION");
	else
		plan_plain_statement(p, op);
}

/* Refuse a late statement that has a column's name of then, when the column is renamed or dropped afterwards. */
static void
check_names(const Statement *st)
{
	ListCell   *lc;

	foreach(lc, st->shape)
	{
		SnapshotColumn *then = lfirst(lc);

		if ((then->column->dropped || strcmp(then->column->name, then->name) != 0) && (statement_mentions(st->sql, then->name) || statement_mentions(st->tail, then->name)))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("column \"%s\" of table \"%s\" is renamed or dropped after this", then->name, st->table->new_name),
					 errdetail("The statement is run in the end, by the names of the end."),
					 errhint("Write it behind that, with the new name."),
					 source_position(st->op->source, st->op->location)));
	}
}

/* The text of a late statement, now that the names of the end are known; NULL if what it is about is gone by then. */
static char *
late_sql(const Statement *st)
{
	if (st->table == NULL)
		return st->sql;
	if (st->table->dropped || (st->column && st->column->dropped))
		return NULL;
	check_names(st);
	return psprintf("%s%s%s%s%s", st->sql, sql_qualified(st->table->schema, st->table->new_name), st->column ? " ALTER COLUMN " : "",
					st->column ? quote_identifier(st->column->name) : "", st->tail);
}

/* Late statements get their texts. */
static void
finish_late_statements(MigPlan *p)
{
	ListCell   *lc;

	foreach(lc, p->late)
	{
		Statement  *st = lfirst(lc);

		st->sql = late_sql(st);
		if (st->sql == NULL)
			p->late = foreach_delete_current(p->late, lc);
		else if (st->table)
			st->relation = sql_qualified(st->table->schema, st->table->new_name);
	}
}

/*
 * Indexes and sequences of parked tables take names that are free in the hidden schema: where the base schema has and keeps a relation of that name, they get
 * the next that is free there, as plain DDL would have chosen.
 */
static void
name_parked(MigPlan *p)
{
	List	   *dropped = NIL;
	SqlRows    *rows;
	ListCell   *lc;

	if (p->parked == NIL)
		return;
	foreach(lc, p->tables)
		if (((Table *) lfirst(lc))->dropped)
			dropped = lappend_oid(dropped, ((Table *) lfirst(lc))->relid);
	rows = sql_queryp("SELECT c.relname, c.relkind FROM pg_class c WHERE c.relnamespace = $1 AND c.relkind IN ('i', 'I', 'S') AND EXISTS (SELECT FROM pg_class b"
					  "  WHERE b.relnamespace = $2 AND b.relname = c.relname"
					  "  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = b.oid AND i.indrelid = ANY ($3::oid[]))"
					  "  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = b.oid AND d.refclassid = 'pg_class'::regclass"
					  "   AND d.deptype IN ('a', 'i') AND d.refobjid = ANY ($3::oid[]))) ORDER BY 1",
					  P_oid(get_namespace_oid(p->inner_schema, false)), P_oid(get_namespace_oid(p->schema, false)), P_text(oids_literal(dropped)));
	for (uint64 r = 0; r < rows->n; r++)
	{
		Operation	op = {.kind = OP_PLAIN,.table = linitial(p->parked)};
		char	   *name;
		int			n = 1;

		do
		{
			const char *number = psprintf("%d", n++);
			int			len = strlen(rows->v[r][0]);

			name = psprintf("%.*s%s", pg_mbcliplen(rows->v[r][0], len, NAMEDATALEN - 1 - (int) strlen(number)), rows->v[r][0], number);
		} while (OidIsValid(get_relname_relid(name, get_namespace_oid(p->schema, false))) ||
			   OidIsValid(get_relname_relid(name, get_namespace_oid(p->inner_schema, false))));
		op.sql = psprintf("ALTER %s %s RENAME TO %s", rows->v[r][1][0] == 'S' ? "SEQUENCE" : "INDEX", quote_identifier(rows->v[r][0]), quote_identifier(name));
		try_statement(p, add_statement(p, &p->early, &op));
	}
}

/* All created tables go first, and in one statement: they may refer to one another, and use what else was made. */
void
plan_finish_statements(MigPlan *p)
{
	StringInfoData names;
	Statement  *last;
	List	   *done = NIL;
	ListCell   *lc;

	finish_late_statements(p);
	name_parked(p);
	initStringInfo(&names);
	foreach(lc, p->created)
	{
		const char *name = lfirst(lc);

		if (plan_has_created(p, name) && !name_in(done, name))
			appendStringInfo(&names, "%s%s", names.len ? ", " : "", sql_qualified(created_schema(p, name), name));
		done = lappend(done, unconstify(char *, name));
	}
	if (names.len == 0)
		return;
	last = llast(p->early);
	last->undo = psprintf("DROP TABLE IF EXISTS %s%s%s", names.data, last->undo ? ";\n" : "", last->undo ? last->undo : "");
}
