/*
 * signal_disk.c
 *		Signals about room on disk, and about WAL that waits for its archive.
 */
#include "base/compat.h"

#include <sys/statvfs.h>

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/pg_tablespace_d.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "storage/fd.h"

#include "base/sql.h"
#include "pace/signal.h"
#include "pace/signal_readers.h"

/* Bytes that a file system has left for us. */
static double
room(const char *path)
{
	struct statvfs fs;

	if (statvfs(path, &fs) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not ask for the free space of \"%s\": %m", path)));
	return (double) fs.f_bavail * fs.f_frsize;
}

/* Where a tablespace's files are, from the data directory. */
static char *
tablespace_path(Oid tablespace)
{
	if (tablespace == DEFAULTTABLESPACE_OID)
		return pstrdup("base");
	if (tablespace == GLOBALTABLESPACE_OID)
		return pstrdup("global");
	return psprintf("pg_tblspc/%u", tablespace);
}

/* The tablespaces of a table, its TOAST table and the indexes of both, and the database's own. */
static const char tablespaces_sql[] =
"SELECT c.reltablespace FROM (SELECT $1 AS oid UNION ALL SELECT reltoastrelid FROM pg_class WHERE oid = $1 UNION ALL SELECT indexrelid FROM pg_index WHERE indrelid = $1"
" UNION ALL SELECT i.indexrelid FROM pg_class t JOIN pg_index i ON i.indrelid = t.reltoastrelid WHERE t.oid = $1) r"
" JOIN pg_class c ON c.oid = r.oid WHERE c.reltablespace <> 0 UNION SELECT $2";

/* The tightest of those tablespaces. No lock is taken. */
Reading
read_disk_free(const SignalContext *context)
{
	SqlRows    *rows = admin_queryp(tablespaces_sql, P_oid(context->relid), P_oid(MyDatabaseTableSpace));
	Reading		r = {.known = true,.value = -1};
	Oid			tightest = InvalidOid;

	for (uint64 i = 0; i < rows->n; i++)
	{
		Oid			tablespace = sql_oid(rows->v[i][0]);
		double		bytes = room(tablespace_path(tablespace));

		if (r.value >= 0 && bytes >= r.value)
			continue;
		r.value = bytes;
		tightest = tablespace;
	}
	r.who = psprintf("tablespace %s", get_tablespace_name(tightest));
	return r;
}

Reading
read_wal_disk_free(const SignalContext *context)
{
	return (Reading) {.known = true,.value = room(XLOGDIR)};
}

/* Count what the archiver has been told to archive and has not: the files that it goes by itself. */
Reading
read_archive_backlog(const SignalContext *context)
{
	Reading		r = {.known = true};
	DIR		   *dir;
	struct dirent *entry;

	if (!XLogArchivingActive())
		return r;
	dir = AllocateDir(XLOGDIR "/archive_status");
	while ((entry = ReadDir(dir, XLOGDIR "/archive_status")) != NULL)
	{
		size_t		len = strlen(entry->d_name);

		CHECK_FOR_INTERRUPTS();
		if (len > strlen(".ready") && strcmp(entry->d_name + len - strlen(".ready"), ".ready") == 0)
			r.value++;
	}
	FreeDir(dir);
	return r;
}
