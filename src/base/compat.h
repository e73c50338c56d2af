/*
 * compat.h
 *		The only place where PG_VERSION_NUM is looked at. Wrappers take the newest signature.
 */
#ifndef MIG_COMPAT_H
#define MIG_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "mig_control needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#include "nodes/parsenodes.h"
#include "nodes/params.h"
#include "tcop/utility.h"
#include "utils/acl.h"

/* 16 replaced the per-kind ownership and privilege checks by generic ones */
#if PG_VERSION_NUM < 160000
#define mig_relation_ownercheck(relid, roleid)	pg_class_ownercheck(relid, roleid)
#define mig_namespace_aclcheck(nspid, roleid, mode)	pg_namespace_aclcheck(nspid, roleid, mode)
#define mig_database_aclcheck(dbid, roleid, mode)	pg_database_aclcheck(dbid, roleid, mode)
#else
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_namespace.h"
#define mig_relation_ownercheck(relid, roleid)	object_ownercheck(RelationRelationId, relid, roleid)
#define mig_namespace_aclcheck(nspid, roleid, mode)	object_aclcheck(NamespaceRelationId, nspid, roleid, mode)
#define mig_database_aclcheck(dbid, roleid, mode)	object_aclcheck(DatabaseRelationId, dbid, roleid, mode)
#endif

/* 16 let the JSON parser's callbacks return an error code; 17 let the caller bring the lexer */
#if PG_VERSION_NUM < 160000
typedef void MigJsonResult;
#define MIG_JSON_OK
#else
typedef JsonParseErrorType MigJsonResult;
#define MIG_JSON_OK JSON_SUCCESS
#endif
#if PG_VERSION_NUM < 170000
#define mig_json_lexer(text, len) \
	makeJsonLexContextCstringLen(unconstify(char *, text), len, GetDatabaseEncoding(), true)
#else
#define mig_json_lexer(text, len) \
	makeJsonLexContextCstringLen(NULL, text, len, GetDatabaseEncoding(), true)
#endif

/* 16 added STORAGE to a column's definition */
#if PG_VERSION_NUM < 160000
#define mig_column_storage_name(columndef)	((const char *) NULL)
#else
#define mig_column_storage_name(columndef)	((const char *) (columndef)->storage_name)
#endif

/* 18 added WITHOUT OVERLAPS to keys */
#if PG_VERSION_NUM < 180000
#define mig_key_without_overlaps(constraint)	false
#else
#define mig_key_without_overlaps(constraint)	((constraint)->without_overlaps)
#endif

/* 16 took the privileges that a statement needs of a relation out of its range table */
#if PG_VERSION_NUM < 160000
#define mig_rte_required_perms(stmt, rte)	((rte)->requiredPerms)
#else
#include "parser/parse_relation.h"
#define mig_rte_required_perms(stmt, rte) \
	((rte)->perminfoindex ? getRTEPermissionInfo((stmt)->permInfos, (rte))->requiredPerms : 0)
#endif

/* 18 took the parameter execute_once from ExecutorRun; to be used behind the last parameter or argument */
#if PG_VERSION_NUM < 180000
#define MIG_EXECUTE_ONCE_PARAM	, bool execute_once
#define MIG_EXECUTE_ONCE_ARG	, execute_once
#else
#define MIG_EXECUTE_ONCE_PARAM
#define MIG_EXECUTE_ONCE_ARG
#endif

/* Prune a pinned, unlocked heap page if it is short of room */
#define mig_heap_page_prune(rel, buf)	heap_page_prune_opt(rel, buf)

#endif
