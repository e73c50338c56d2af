/*
 * definition_updown.c
 *		The "up" and "down" that options bring to a DDL definition: which operation takes which.
 *
 * An entry "table.column" goes to the operation on that column that changes its data most: the change of type (or the added column) before a CHECK, a CHECK
 * before NOT NULL, and the last one among equals. The operations on the column compose, so wherever it stands it applies once.
 */
#include "postgres.h"

#include "compile/definition.h"

/* Returns how well a kind of operation takes an up or a down: 0 not at all, else the higher the better. */
static int
rank_of(OperationKind kind, bool is_down)
{
	switch (kind)
	{
		case OP_ALTER_TYPE:
			return 4;
		case OP_ADD_COLUMN:
			return is_down ? 0 : 4;
		case OP_DROP_COLUMN:
			return is_down ? 4 : 0;
		case OP_ADD_CHECK:
		case OP_ADD_KEY:
		case OP_ADD_FOREIGN_KEY:
			return 3;
		case OP_SET_NOT_NULL:
		case OP_DROP_NOT_NULL:
			return 2;
		case OP_DROP_CONSTRAINT:
			return 1;
		default:
			return 0;
	}
}

/* Is a column one of those of a key or foreign key? */
static bool
is_key_column(const Constraint *key, const char *column)
{
	ListCell   *lc;

	foreach(lc, key->contype == CONSTR_FOREIGN ? key->fk_attrs : key->keys)
		if (strcmp(strVal(lfirst(lc)), column) == 0)
			return true;
	return false;
}

/* Is an operation about a column? A dropped constraint may be about any: its columns are known later. */
static bool
concerns_column(const Operation *op, const char *column)
{
	if (op->column != NULL)
		return strcmp(op->column, column) == 0;
	if (op->kind == OP_ADD_CHECK)
		return raw_expr_names(op->expr, column);
	if (op->kind == OP_ADD_KEY || op->kind == OP_ADD_FOREIGN_KEY)
		return is_key_column(op->constraint, column);
	return op->kind == OP_DROP_CONSTRAINT;
}

/* Is an operation about a table, written with or without its schema? Of an index the definition names no table. */
static bool
concerns_table(const Operation *op, const char *table)
{
	if (op->table == NULL)
		return false;
	return strcmp(op->table, table) == 0 ||
		(op->schema != NULL && strcmp(psprintf("%s.%s", op->schema, op->table), table) == 0);
}

/* Follows a column through the renames before operation `n`. */
static void
follow_renames(const Definition *definition, int n, const char **table, const char **column)
{
	for (int i = 0; i < n; i++)
	{
		const Operation *op = list_nth(definition->operations, i);

		if (!concerns_table(op, *table))
			continue;
		if (op->kind == OP_RENAME_TABLE)
			*table = op->new_name;
		else if (op->kind == OP_RENAME_COLUMN && strcmp(op->column, *column) == 0)
			*column = op->new_name;
	}
}

/*
 * Returns the name under which operation `n` knows a column, given the name that is written there or the one before the definition; NULL
 * if it does not concern that column.
 */
static const char *
name_there(const Definition *definition, int n, const char *table, const char *column)
{
	const Operation *op = list_nth(definition->operations, n);

	if (concerns_table(op, table) && concerns_column(op, column))
		return column;
	follow_renames(definition, n, &table, &column);
	return concerns_table(op, table) && concerns_column(op, column) ? column : NULL;
}

/* Returns the operation that takes an entry, or NULL. *column becomes its name there. */
static Operation *
find_taker(const Definition *definition, const char *table, const char **column, bool is_down)
{
	Operation  *best = NULL;
	const char *written = *column;

	for (int i = 0; i < list_length(definition->operations); i++)
	{
		Operation  *op = list_nth(definition->operations, i);
		int			rank = rank_of(op->kind, is_down);
		const char *name = rank > 0 ? name_there(definition, i, table, written) : NULL;

		if (name != NULL && (best == NULL || rank >= rank_of(best->kind, is_down)))
		{
			best = op;
			*column = name;
		}
	}
	return best;
}

/* Attaches one entry. */
static void
attach_entry(Definition *definition, const JsonNode *entry, bool is_down)
{
	char	   *path = json_node_path(entry);
	char	   *table = pstrdup(entry->key);
	char	   *dot = strrchr(table, '.');
	const char *column;
	Operation  *op;

	if (dot == NULL || dot == table || dot[1] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\"%s does not name a column", entry->key, json_node_place(entry->parent)),
				 errhint("Write \"table.column\", with the names as they are in the catalog, unquoted.")));
	if (entry->kind != JSON_KIND_STRING)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a string, not %s", path, json_kind_name(entry->kind)),
				 errhint("Its value is an SQL expression.")));
	if (*entry->text == '\0')
		return;
	*dot = '\0';
	column = dot + 1;

	op = find_taker(definition, table, &column, is_down);
	if (op == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no operation of the definition takes %s", path),
				 is_down ?
				 errhint("\"down\" goes with DROP COLUMN, ALTER COLUMN TYPE, SET or DROP NOT NULL, ADD or DROP CONSTRAINT on that column.") :
				 errhint("\"up\" goes with ADD COLUMN, ALTER COLUMN TYPE, SET or DROP NOT NULL, ADD or DROP CONSTRAINT on that column.")));
	if ((is_down ? op->down : op->up) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("both %s and %s are given for column \"%s\" of table \"%s\"",
						(is_down ? op->down : op->up)->path, path, column, table),
				 errhint("Keep one of them: USING is the \"up\" of a change of type."),
				 source_position(op->source, op->location)));
	if (op->column == NULL)
		op->column = pstrdup(column);
	if (is_down)
		op->down = raw_expr(entry->text, path);
	else
		op->up = raw_expr(entry->text, path);
	operation_normalize(op);
}

/* Attaches the entries of "up" or "down". */
static void
attach_all(Definition *definition, const JsonNode *root, const char *key)
{
	JsonNode   *entries = json_node_member(root, key);
	ListCell   *lc;

	if (entries == NULL || entries->kind == JSON_KIND_NULL)
		return;
	if (entries->kind != JSON_KIND_OBJECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be an object, not %s", json_node_path(entries), json_kind_name(entries->kind)),
				 errhint("Its keys are \"table.column\", its values SQL expressions.")));
	foreach(lc, entries->children)
		attach_entry(definition, lfirst(lc), strcmp(key, "down") == 0);
}

/* Parses options; NULL if there are none. */
static JsonNode *
parse_options(const char *options)
{
	JsonNode   *root;

	if (options == NULL)
		return NULL;
	root = json_node_parse(options, "options", "options");
	if (root->kind != JSON_KIND_OBJECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be an object, not %s", json_kind_name(root->kind))));
	return root;
}

/* Attaches the "up" and "down" of options to a DDL definition's operations. */
void
definition_attach(Definition *definition, const char *options)
{
	JsonNode   *root = parse_options(options);

	if (root == NULL)
		return;
	attach_all(definition, root, "up");
	attach_all(definition, root, "down");
}

/* Refuses "up" and "down" in the options of a manifest, whose operations have their own. */
void
definition_refuse_updown(const char *options)
{
	JsonNode   *root = parse_options(options);
	JsonNode   *member;

	if (root == NULL)
		return;
	member = json_node_member(root, "up");
	if (member == NULL)
		member = json_node_member(root, "down");
	if (member != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is for DDL definitions only", json_node_path(member)),
				 errhint("Write \"up\" and \"down\" into the manifest's operations.")));
}
