/*
 * sql.h
 *		SQL through SPI, with parameters; results as text rows in the caller's memory context.
 *
 * Each call connects to SPI and finishes by itself, so callers hold no SPI state and results outlive the call. Plans of statements with
 * parameters are kept by their text, so that text should be constant. They run with search_path = pg_catalog, pg_temp; a
 * statement without parameters runs under the caller's, so that it has to be pinned there, or to qualify all names and operators.
 * The statements run as the current user unless the caller is between admin_begin() and identity_end().
 */
#ifndef MIG_SQL_H
#define MIG_SQL_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "storage/itemptr.h"

typedef struct SqlParam
{
	Oid			type;
	Datum		value;
	bool		isnull;
} SqlParam;

/* parameters; a NULL pointer is an SQL NULL */
extern SqlParam P_text(const char *s);
extern SqlParam P_jsonb(const char *json);	/* parsed with jsonb_in */
extern SqlParam P_int8(int64 v);
extern SqlParam P_int4(int32 v);
extern SqlParam P_float8(double v);
extern SqlParam P_bool(bool v);
extern SqlParam P_timestamptz(TimestampTz v);	/* 0 is an SQL NULL */
extern SqlParam P_oid(Oid v);
extern SqlParam P_tids(const ItemPointerData *tids, int n);	/* tid[] */

/* A result: v[row][column], each a C string or NULL for an SQL NULL */
typedef struct SqlRows
{
	uint64		n;
	char	 ***v;
} SqlRows;

extern Oid	sql_oid(const char *value);	/* a value of type oid */

extern uint64 sql_exec_params(const char *sql, int nparams, const SqlParam *params);
/* the same under the caller's search_path, for statements that fire the user's code: all their own names and operators have to be qualified */
extern uint64 sql_exec_unpinned(const char *sql, int nparams, const SqlParam *params);
extern SqlRows *sql_query_params(const char *sql, int nparams, const SqlParam *params);
extern char *sql_text_params(const char *sql, int nparams, const SqlParam *params);
/* a query whose rows are SQL that the server prints, written for a search_path other than that under which its own names are found */
extern SqlRows *sql_print_params(const char *search_path, const char *sql, int nparams, const SqlParam *params);

#define SQL_PARAMS(...) (int) lengthof(((SqlParam[]) {__VA_ARGS__})), (SqlParam[]) {__VA_ARGS__}

/* Run a statement; returns the number of rows processed. */
#define sql_exec(sql)			sql_exec_params(sql, 0, NULL)
#define sql_execp(sql, ...)		sql_exec_params(sql, SQL_PARAMS(__VA_ARGS__))
/* Run a query; all its rows as text. */
#define sql_query(sql)			sql_query_params(sql, 0, NULL)
#define sql_queryp(sql, ...)	sql_query_params(sql, SQL_PARAMS(__VA_ARGS__))
#define sql_printp(search_path, sql, ...)	sql_print_params(search_path, sql, SQL_PARAMS(__VA_ARGS__))
/* The first column of the first row, or NULL (no row or SQL NULL). */
#define sql_text(sql)			sql_text_params(sql, 0, NULL)
#define sql_textp(sql, ...)		sql_text_params(sql, SQL_PARAMS(__VA_ARGS__))

/* The same as the bootstrap superuser: for our own tables. */
extern void admin_exec_params(const char *sql, int nparams, const SqlParam *params);
extern SqlRows *admin_query_params(const char *sql, int nparams, const SqlParam *params);

#define admin_exec(sql)			admin_exec_params(sql, 0, NULL)
#define admin_execp(sql, ...)	admin_exec_params(sql, SQL_PARAMS(__VA_ARGS__))
#define admin_query(sql)		admin_query_params(sql, 0, NULL)
#define admin_queryp(sql, ...)	admin_query_params(sql, SQL_PARAMS(__VA_ARGS__))

/*
 * Who runs it. admin_begin() switches to the bootstrap superuser with search_path = pg_catalog, pg_temp: for our own tables and
 * for catalog facts. owner_begin() switches to a role, in a security-restricted operation when it runs the user's
 * expressions. Both nest, and an error restores everything at (sub)transaction abort; end must be called on success.
 */
typedef struct Identity
{
	Oid			userid;
	int			sec_context;
	int			guc_level;
} Identity;

extern void admin_begin(Identity *saved);
extern void owner_begin(Identity *saved, Oid role, bool restricted);
extern void identity_end(const Identity *saved);

/*
 * Settings, in the caller's GUC level, under which what the server prints (expressions, definitions) reads the same anywhere else: a session that
 * runs SQL that was printed needs them as well.
 */
extern void sql_portable_texts(void);

/* "schema"."name", quoted where needed; palloc'd */
extern char *sql_qualified(const char *schema, const char *name);
extern char *sql_json_member(const char *key, const char *value);	/* , "key": "value" */
extern char *sql_relation_name(Oid relid);	/* qualified; NULL when it is gone */

#endif
