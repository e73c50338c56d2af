/*
 * sequence.c
 *		Sequences of serial and identity columns.
 *
 * Owns no state. An added serial or identity column is a plain one whose default draws from a sequence of its own, until the swap makes it what it was
 * asked to be; a replaced one shares its sequence with the column it replaces, and takes it over in the swap: the sequence stays the same object, with
 * its value, options, grants and comment.
 */
#include "base/compat.h"

#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/sql.h"
#include "compile/operations.h"
#include "compile/sequence.h"

/* The integer type that a serial type's name stands for; InvalidOid if it is none. */
static Oid
serial_type(const TypeName *type)
{
	static const struct
	{
		const char *name;
		Oid			type;
	}			serials[] = {
		{"smallserial", INT2OID}, {"serial2", INT2OID}, {"serial", INT4OID}, {"serial4", INT4OID}, {"bigserial", INT8OID}, {"serial8", INT8OID}
	};

	for (int i = 0; i < lengthof(serials) && list_length(type->names) == 1 && !type->pct_type; i++)
		if (strcmp(strVal(linitial(type->names)), serials[i].name) == 0)
			return serials[i].type;
	return InvalidOid;
}

bool
brings_sequence(const Operation *op)
{
	return op->kind == OP_ADD_COLUMN && (op->identity || OidIsValid(serial_type(op->type)));
}

void
check_identity_type(const Operation *op, Oid type)
{
	if (type != INT2OID && type != INT4OID && type != INT8OID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("identity column type must be smallint, integer, or bigint"),
				 op_position(op)));
}

/* The type of an added column's values, checked. */
static Oid
sequence_type(const Operation *op)
{
	Oid			type = serial_type(op->type);

	if (op->expr || (op->identity && OidIsValid(type)))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg(op->identity ? "both default and identity specified for column \"%s\" of table \"%s\""
						: "multiple default values specified for column \"%s\" of table \"%s\"", op->column, op->table),
				 op_position(op)));
	if (OidIsValid(type) && op->type->arrayBounds != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("array of serial is not implemented"),
				 op_position(op)));
	if (OidIsValid(type))
		return type;
	type = typenameTypeId(NULL, op->type);
	check_identity_type(op, type);
	return type;
}

/* An identity's sequence options as CREATE SEQUENCE takes them; *name is set by SEQUENCE NAME. */
static char *
sequence_options(const Operation *op, char **name)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, op->sequence)
	{
		DefElem    *e = lfirst_node(DefElem, lc);

		if (strcmp(e->defname, "sequence_name") == 0)
			*name = strVal(llast(castNode(List, e->arg)));
		else if (strcmp(e->defname, "cycle") == 0)
			appendStringInfoString(&buf, boolVal(e->arg) ? " CYCLE" : " NO CYCLE");
		else if (strcmp(e->defname, "as") == 0 || strcmp(e->defname, "owned_by") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR),
					 errmsg("an identity column's sequence has the column's type and owner"),
					 op_position(op)));
		else if (e->arg == NULL)
			appendStringInfo(&buf, strcmp(e->defname, "restart") == 0 ? " RESTART" : " NO %s", e->defname);
		else
			appendStringInfo(&buf, " %s " INT64_FORMAT, e->defname, defGetInt64(e));
	}
	return buf.data;
}

Operation *
sequence_column(const Table *t, const Operation *op, char **create, char **undo)
{
	Operation  *column = palloc(sizeof(Operation));
	Oid			type = sequence_type(op);
	char	   *name = NULL;
	char	   *options = sequence_options(op, &name);
	StringInfoData sql;

	if (name == NULL)
		name = ChooseRelationName(t->new_name, op->column, "seq", get_rel_namespace(t->relid), false);
	*column = *op;
	column->name = sql_qualified(t->schema, name);
	column->type = makeTypeNameFromOid(type, -1);
	column->not_null = true;
	column->expr = raw_expr(psprintf("pg_catalog.nextval(%s::pg_catalog.regclass)", quote_literal_cstr(column->name)), op->path);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE %sSEQUENCE %s AS %s%s", get_rel_persistence(t->relid) == RELPERSISTENCE_UNLOGGED ? "UNLOGGED " : "",
					 column->name, type_sql(type, -1), options);
	if (GetUserId() != t->owner)	/* that of an owned sequence is its table's */
		appendStringInfo(&sql, ";\nALTER SEQUENCE %s OWNER TO %s", column->name, quote_identifier(GetUserNameFromId(t->owner, false)));
	*create = sql.data;
	*undo = psprintf("DROP SEQUENCE IF EXISTS %s", column->name);
	return column;
}

char *
identity_default(const Column *c)
{
	return psprintf("mig.next_identity(%s::pg_catalog.regclass)", quote_literal_cstr(linitial(c->sequences)));
}

char *
sequence_owned_sql(const Table *t, const Column *c)
{
	return psprintf("ALTER SEQUENCE %s OWNED BY %s.%s", (char *) linitial(c->sequences), sql_qualified(t->schema, t->name), c->hidden);
}

char *
sequence_identity_sql(const Table *t, const Column *c)
{
	const char *table = sql_qualified(t->schema, t->name);

	return psprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL;\nSELECT mig.make_identity(%s, '%s', %s, '%c')", table, c->hidden,
					quote_literal_cstr(table), c->hidden, quote_literal_cstr(linitial(c->sequences)), c->identity);
}

/* How wide is an integer type? 0 if it is none. */
static int
integer_width(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID ? get_typlen(type) : 0;
}

char *
sequence_alter_sql(const Table *t, const Column *c, const char *sequence)
{
	char	   *type = sql_textp("SELECT seqtypid FROM pg_sequence WHERE seqrelid = $1::regclass", P_text(sequence));
	int			width = type ? get_typlen(sql_oid(type)) : 0;
	StringInfoData buf;

	initStringInfo(&buf);
	/* a serial's is only widened: it may serve others, too, whereas an identity's has its column's type */
	if (c->identity ? integer_width(c->type) != width : integer_width(c->type) > width)
		appendStringInfo(&buf, " AS %s", type_sql(c->type, -1));
	if (!c->identity)
		appendStringInfo(&buf, " OWNED BY %s.%s", sql_qualified(t->schema, t->name), c->hidden);
	return buf.len ? psprintf("ALTER SEQUENCE %s%s", sequence, buf.data) : NULL;
}
