-- The sync trigger, and what the version views and the backfill call.
CREATE FUNCTION mig.sync() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_sync';
COMMENT ON FUNCTION mig.sync() IS 'keeps both versions'' values of a row equal; made by mig_start()';
-- It runs its arguments, SQL expressions, as the table's owner: with EXECUTE, the TRIGGER privilege on a table would be its owner's rights.
REVOKE EXECUTE ON FUNCTION mig.sync() FROM PUBLIC;

CREATE FUNCTION mig.holds_support(internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mig_holds_support';
COMMENT ON FUNCTION mig.holds_support(internal) IS 'planner support for mig.holds()';

CREATE FUNCTION mig.holds(xmin xid, cmin cid, relation oid, rule_kind text, constraint_name text, column_name text, ok boolean)
    RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE COST 0.0001 SUPPORT mig.holds_support AS 'MODULE_PATHNAME', 'mig_holds';
COMMENT ON FUNCTION mig.holds(xid, cid, oid, text, text, text, boolean)
    IS 'true; raises the rule''s own error for a row that the current command has written and that breaks it (rule_kind: n = NOT NULL, c = CHECK)';

CREATE FUNCTION mig.holds_at(source oid, place tid, relation oid, rule_kind text, constraint_name text, column_name text, ok boolean)
    RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE COST 0.0001 SUPPORT mig.holds_support AS 'MODULE_PATHNAME', 'mig_holds_at';
COMMENT ON FUNCTION mig.holds_at(oid, tid, oid, text, text, text, boolean) IS 'the same for rows of a partitioned table, by their partition and place';

CREATE FUNCTION mig.marks(xmin xid, cmin cid, relation oid, place tid, number int) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 0.0001 SUPPORT mig.holds_support AS 'MODULE_PATHNAME', 'mig_marks';
COMMENT ON FUNCTION mig.marks(xid, cid, oid, tid, int) IS 'true; remembers a row that the current command has written through a view, for mig.refers()';

CREATE FUNCTION mig.refers() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_refers';
COMMENT ON FUNCTION mig.refers() IS 'holds rows that mig.marks() has remembered to a foreign key that is no constraint yet; made by mig_start()';
-- It runs an argument of its own, SQL, as the owner of the referenced table.
REVOKE EXECUTE ON FUNCTION mig.refers() FROM PUBLIC;

CREATE FUNCTION mig.closed(message text, hint text) RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mig_closed';
COMMENT ON FUNCTION mig.closed(text, text) IS 'raises 55000: the version is not open';

CREATE FUNCTION mig.closed_write() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_closed_write';
COMMENT ON FUNCTION mig.closed_write() IS 'INSTEAD OF trigger of a closed view: raises the same as mig.closed(message, hint)';
