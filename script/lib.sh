# lib.sh: what script/test, script/demo and test/bench/run share. Sourced by bash scripts that say `set -euo pipefail`.
#
# A run owns one scratch folder (SCRATCH) that belongs to a normal user (RUN_USER: the caller, or postgres when the caller is root, because
# the server refuses root). In it: a private copy of the PostgreSQL installation (so nothing outside is touched), a copy of this source tree, and the
# clusters, which listen on a unix socket only. It is removed at the end, unless KEEP_SCRATCH is set (by the script, or from outside).

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SHARED=${SHARED:-$ROOT/../shared}
SCRATCH='' RUN_USER='' KEEP_SCRATCH=${KEEP_SCRATCH:-}
PGVER=15
unset PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGOPTIONS PGSERVICE PGDATA PGAPPNAME
export LC_ALL=C PGCONNECT_TIMEOUT=10

say() { printf '%s\n' "$@"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# On a fresh machine each command installs what it needs; anybody but root is told what is missing when it is.
[ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || "$ROOT/script/bootstrap"

# Print the pg_config to build with: $PG_CONFIG, the packaged one, or the one on PATH.
find_pg_config() {
	local c
	for c in "${PG_CONFIG:-}" "/usr/lib/postgresql/$PGVER/bin/pg_config" "$(command -v pg_config || true)"; do
		[ -n "$c" ] && [ -x "$c" ] && [ -f "$("$c" --pgxs)" ] && [ -x "$("$c" --bindir)/postgres" ] && { say "$c"; return; }
	done
	die "no PostgreSQL with server headers found: run script/bootstrap, or set PG_CONFIG"
}

# Run a command as RUN_USER, in SCRATCH, with the environment that is passed on.
as_user() {
	if [ "$(id -un)" = "$RUN_USER" ]; then (cd "$SCRATCH" && "$@"); else (cd "$SCRATCH" && runuser -u "$RUN_USER" -- "$@"); fi
}

# Make SCRATCH (with a short name: a socket's path is limited), and have it removed at exit.
make_scratch() {
	RUN_USER=$(id -un)
	if [ "$(id -u)" = 0 ]; then
		RUN_USER=postgres
		id -u postgres >/dev/null 2>&1 || { RUN_USER=mig_control; id -u mig_control >/dev/null 2>&1 || useradd --system --no-create-home mig_control; }
	fi
	SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/mig_$1.XXXXXX")
	chmod 755 "$SCRATCH"
	[ "$(id -u)" != 0 ] || chown "$RUN_USER" "$SCRATCH"
	trap scratch_exit EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

# At exit: stop what was started (background jobs of this shell, clusters under SCRATCH), then remove SCRATCH (KEEP_SCRATCH: don't).
scratch_exit() {
	local status=$? job pid
	trap - EXIT
	set +e
	for job in $(jobs -p); do kill "$job" 2>/dev/null; done
	for pid in "$SCRATCH"/*/postmaster.pid "$SCRATCH"/*/*/postmaster.pid "$SCRATCH"/*/*/*/postmaster.pid; do
		[ -f "$pid" ] && as_user "$PGBIN/pg_ctl" -s -D "${pid%/*}" -m immediate stop >/dev/null 2>&1
	done
	wait 2>/dev/null
	# what a script has mounted there (script/test): also if a process still has files open
	while mountpoint -q "$SCRATCH/disk" 2>/dev/null; do umount "$SCRATCH/disk" 2>/dev/null || umount -l "$SCRATCH/disk" || break; done
	[ -n "$KEEP_SCRATCH" ] || rm -rf -- "$SCRATCH"
	exit $status
}

# Copy the PostgreSQL installation into SCRATCH/pg and point PG_CONFIG and PGBIN there. PostgreSQL is relocatable when its folders keep their
# places relative to each other. Where it is not (a static path in a distribution's build), the installed one is used as it is.
private_postgres() {
	local d dirs prefix copy
	PG_CONFIG=$(find_pg_config)
	dirs=$("$PG_CONFIG" | sed -n 's/^\(BINDIR\|PKGLIBDIR\|SHAREDIR\|PKGINCLUDEDIR\|INCLUDEDIR-SERVER\) = //p')
	for d in $dirs; do
		d=$(readlink -f "$d")
		[ -d "$SCRATCH/pg$d" ] && continue
		mkdir -p "$SCRATCH/pg${d%/*}"
		cp -a "$d" "$SCRATCH/pg${d%/*}/"
	done
	copy=$SCRATCH/pg$(readlink -f "$("$PG_CONFIG" --bindir)")/pg_config
	prefix=$("$copy" --pkglibdir)
	if [ "${prefix#"$SCRATCH"}" != "$prefix" ] && [ -f "$("$copy" --pgxs)" ]; then
		PG_CONFIG=$copy
	elif [ ! -w "$("$PG_CONFIG" --pkglibdir)" ]; then
		die "this PostgreSQL cannot be relocated and $("$PG_CONFIG" --pkglibdir) is not writable"
	fi
	PGBIN=$("$PG_CONFIG" --bindir)
	export PG_CONFIG
}

# Copy the sources to SCRATCH/src, build them there and install into the server of private_postgres. Arguments go to make.
build_install() {
	mkdir -p "$SCRATCH/src"
	(cd "$ROOT" && {
		if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
			git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done
		else
			find . -name .git -prune -o -type f -not -name '*.o' -not -name '*.so' -print0
		fi
	} | tar --null -T - -cf -) | tar -C "$SCRATCH/src" -xf -
	[ "$(id -u)" != 0 ] || chown -R "$RUN_USER" "$SCRATCH/src" "$SCRATCH/pg"
	as_user make -s -C "$SCRATCH/src" -j"$(nproc)" "$@"
	# as the user when the copy is private (the usual case), else as ourselves
	if [ "${PG_CONFIG#"$SCRATCH"}" != "$PG_CONFIG" ]; then as_user make -s -C "$SCRATCH/src" install; else make -s -C "$SCRATCH/src" install; fi >/dev/null
}

# Make and start a cluster in SCRATCH/NAME; its settings come from stdin. Sets PGHOST, PGUSER, PGDATABASE for the clients.
start_cluster() {
	PGDATA_DIR=$SCRATCH/$1
	as_user "$PGBIN/initdb" -D "$PGDATA_DIR" -U postgres -A trust -E UTF8 --locale=C -N >"$SCRATCH/$1.initdb" 2>&1 || { cat "$SCRATCH/$1.initdb" >&2; die "initdb failed"; }
	as_user mkdir -p "$SCRATCH/sock"
	{
		printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$SCRATCH/sock'" "shared_preload_libraries = 'mig_control'"
		cat
	} | as_user tee -a "$PGDATA_DIR/postgresql.conf" >/dev/null
	export PGHOST=$SCRATCH/sock PGPORT=${MIG_PORT:-5432} PGUSER=postgres PGDATABASE=postgres
	server_start
}

server_start() {
	as_user "$PGBIN/pg_ctl" -s -w -t 120 -D "$PGDATA_DIR" -o "-p $PGPORT" -l "$PGDATA_DIR.log" start || { tail -n 30 "$PGDATA_DIR.log" >&2; die "the server did not start"; }
}
server_stop() { as_user "$PGBIN/pg_ctl" -s -w -D "$PGDATA_DIR" -m "${1:-fast}" stop; }

# One query's answer, unaligned; the first argument may name a database as db=NAME.
q() {
	local db=$PGDATABASE
	case $1 in db=*) db=${1#db=}; shift ;; esac
	"$PGBIN/psql" -X -q -At -v ON_ERROR_STOP=1 -d "$db" -c "$1"
}
