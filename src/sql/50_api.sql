-- The API: planning, starting and steering. docs/reference.md describes each; api/*.c checks and calls down.
CREATE FUNCTION mig_plan(name text, definition text, options jsonb DEFAULT '{}')
    RETURNS TABLE (step int, phase text, relation text, lock_mode text, rewrites boolean, sql text, note text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_plan';
COMMENT ON FUNCTION mig_plan(text, text, jsonb) IS 'the steps that mig_start would run, with their locks; changes nothing';

CREATE FUNCTION mig_plan(definition text)
    RETURNS TABLE (step int, phase text, relation text, lock_mode text, rewrites boolean, sql text, note text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_plan';
COMMENT ON FUNCTION mig_plan(text) IS 'the steps that mig_start would run, with their locks; changes nothing';

CREATE FUNCTION mig_start(name text, definition text, options jsonb DEFAULT '{}') RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_start';
COMMENT ON FUNCTION mig_start(text, text, jsonb) IS 'starts a migration: expands at once, a worker does the rest; returns the version schema';

CREATE FUNCTION mig_start(definition text) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_start';
COMMENT ON FUNCTION mig_start(text) IS 'starts the migration of a manifest that has a name';

CREATE FUNCTION mig_pause(name text, reason text DEFAULT NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_pause';
COMMENT ON FUNCTION mig_pause(text, text) IS 'nothing of the migration moves until mig_resume; both versions stay in sync';

CREATE FUNCTION mig_resume(name text) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_resume';
COMMENT ON FUNCTION mig_resume(text) IS 'goes on with a paused, held or failed migration';

CREATE FUNCTION mig_set(name text, options jsonb, reason text DEFAULT NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_set';
COMMENT ON FUNCTION mig_set(text, jsonb, text) IS 'changes options of a running migration; a null value takes one back to its default';

CREATE FUNCTION mig_complete(name text DEFAULT NULL, force boolean DEFAULT false, reason text DEFAULT NULL) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_complete';
COMMENT ON FUNCTION mig_complete(text, boolean, text) IS 'removes the old shape; returns completed, or completing while a rule is being validated';

CREATE FUNCTION mig_rollback(name text DEFAULT NULL, reason text DEFAULT NULL, force boolean DEFAULT false) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_rollback';
COMMENT ON FUNCTION mig_rollback(text, text, boolean) IS 'removes the new shape; what was written through it stays, converted by down';

CREATE FUNCTION mig_use(name text DEFAULT NULL, local boolean DEFAULT false) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_use';
COMMENT ON FUNCTION mig_use(text, boolean) IS 'sets search_path to a version and its base schema, and returns it';

CREATE FUNCTION mig_retire(name text, older_than interval DEFAULT '1 day') RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_retire';
COMMENT ON FUNCTION mig_retire(text, interval) IS 'removes the closed schema of an ended version';

CREATE FUNCTION mig_validate(name text)
    RETURNS TABLE (relation text, checked bigint, divergent bigint, repaired bigint, sample jsonb)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_validate';
COMMENT ON FUNCTION mig_validate(text) IS 'checks every row''s pairs now: how many break the rule of the version that wrote them last, with samples';

CREATE FUNCTION mig_refresh_views(schema text DEFAULT NULL) RETURNS int
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_refresh_views';
COMMENT ON FUNCTION mig_refresh_views(text) IS 'brings the version views of a schema in line with tables that were changed by hand; returns how many it made or changed';
