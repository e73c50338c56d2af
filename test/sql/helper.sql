\set ECHO none
-- Helpers of the pg_regress tests, in schema mt. Included with \ir, which echoes nothing.
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
CREATE SCHEMA IF NOT EXISTS mt;
CREATE TABLE IF NOT EXISTS mt.remembered (line text);
CREATE SEQUENCE IF NOT EXISTS mt.run;
GRANT USAGE ON SCHEMA mt TO PUBLIC;
GRANT ALL ON mt.remembered TO PUBLIC;

-- A text without the OIDs in names of hidden indexes, and without the session's settings.
CREATE OR REPLACE FUNCTION mt.mask(t text) RETURNS text
LANGUAGE sql AS $$ SELECT regexp_replace(regexp_replace(t, '_mig_\d+_([inr])', '_mig_N_\1', 'g'), '{"?search_path=.*?}''', '{settings}''', 'g') $$;

-- What a statement raises: its SQLSTATE and texts; "no error" (and what it did stays) otherwise.
CREATE OR REPLACE FUNCTION mt.try(statement text, VARIADIC arguments text[] DEFAULT '{}') RETURNS TABLE (outcome text)
LANGUAGE plpgsql AS $$
DECLARE state text; message text; detail text; hint text; context text;
BEGIN
	EXECUTE format(statement, VARIADIC arguments);
	RETURN QUERY VALUES ('no error');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
		hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
	RETURN QUERY SELECT state || ': ' || mt.mask(message);
	RETURN QUERY SELECT '  detail: ' || line FROM regexp_split_to_table(mt.mask(detail), '\n') line WHERE detail <> '';
	RETURN QUERY SELECT '  hint: ' || line FROM regexp_split_to_table(hint, '\n') line WHERE hint <> '';
	RETURN QUERY SELECT '  at: ' || line FROM regexp_split_to_table(context, '\n') line
		WHERE line <> '' AND line !~ '^(PL/pgSQL function|SQL statement|SQL function)';
END$$;

-- The same for mig_plan of a definition.
CREATE OR REPLACE FUNCTION mt.refused(definition text, options jsonb DEFAULT '{}', name text DEFAULT 'refused') RETURNS TABLE (outcome text)
LANGUAGE sql AS $$
	SELECT mt.try('SELECT count(*) FROM mig_plan(%L, %L, %L)', name, definition, options::text)
$$;

-- Access rights as sorted text.
CREATE OR REPLACE FUNCTION mt.acl(acl aclitem[]) RETURNS text
LANGUAGE sql SET search_path = pg_catalog AS $$
	SELECT string_agg(x.grantee::regrole || '=' || x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END, ' '
					  ORDER BY x.grantee::regrole::text, x.privilege_type) FROM aclexplode(acl) x
$$;

-- Everything the catalogs say of a schema's objects, but for the order of columns; the schema's own name is left out, so that twins compare equal.
CREATE OR REPLACE FUNCTION mt.catalog(nsp text) RETURNS TABLE (line text)
LANGUAGE sql SET search_path = pg_catalog AS $$
	SELECT replace(regexp_replace(l, format('\m%I\.', nsp), '', 'g'), quote_literal(nsp || '.'), '') FROM (
	SELECT format('%s %s: persistence %s options %s acl %s rls %s%s replica %s owner %s comment %s', c.relkind, c.relname, c.relpersistence,
				  c.reloptions, mt.acl(c.relacl), c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.relowner::regrole,
				  obj_description(c.oid, 'pg_class')) AS l
	  FROM pg_class c WHERE c.relnamespace = nsp::regnamespace
	UNION ALL
	SELECT format('column %s.%I: %s collation %s%s default %s identity %s generated %s storage %s compression %s statistics %s options %s acl %s comment %s',
				  c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation,
				  CASE WHEN a.attnotnull THEN ' not null' END, pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, a.attstorage,
				  a.attcompression, a.attstattarget, (SELECT array_agg(o) FROM unnest(a.attoptions) o WHERE o !~ '^pg_'), mt.acl(a.attacl), col_description(c.oid, a.attnum))
	  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
	 WHERE c.relnamespace = nsp::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
	UNION ALL
	SELECT format('constraint %s on %s: %s %s comment %s', k.conname, k.conrelid::regclass, pg_get_constraintdef(k.oid),
				  CASE WHEN k.convalidated THEN 'valid' END, obj_description(k.oid, 'pg_constraint'))
	  FROM pg_constraint k WHERE k.connamespace = nsp::regnamespace AND k.conrelid <> 0
	UNION ALL
	SELECT format('index %s; %s %s %s statistics %s', pg_get_indexdef(i.indexrelid), CASE WHEN i.indisclustered THEN 'clustered' END,
				  CASE WHEN i.indisreplident THEN 'replica identity' END, CASE WHEN i.indisvalid THEN 'valid' END,
				  (SELECT array_agg(a.attstattarget ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = i.indexrelid))
	  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = nsp::regnamespace
	UNION ALL
	SELECT format('trigger %s enabled %s', pg_get_triggerdef(g.oid), g.tgenabled)
	  FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid WHERE c.relnamespace = nsp::regnamespace AND NOT g.tgisinternal
	UNION ALL
	SELECT format('policy %s on %s: %s %s %s %s', p.polname, c.relname, p.polcmd, p.polroles::regrole[], pg_get_expr(p.polqual, c.oid),
				  pg_get_expr(p.polwithcheck, c.oid))
	  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = nsp::regnamespace
	UNION ALL
	SELECT format('sequence %s: %s owned by %s', q.seqrelid::regclass, q.seqtypid::regtype,
				  (SELECT d.refobjid::regclass || '.' || a.attname FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
					WHERE d.objid = q.seqrelid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')))
	  FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid WHERE c.relnamespace = nsp::regnamespace
	UNION ALL
	SELECT format('statistics %s target %s comment %s', pg_get_statisticsobjdef(s.oid), s.stxstattarget, obj_description(s.oid, 'pg_statistic_ext'))
	  FROM pg_statistic_ext s WHERE s.stxnamespace = nsp::regnamespace
	UNION ALL
	SELECT format('view %s: %s', c.oid::regclass, pg_get_viewdef(c.oid)) FROM pg_class c WHERE c.relnamespace = nsp::regnamespace AND c.relkind IN ('v', 'm')
	) x
$$;

-- Lines that only one of two schemas has: none when they are alike.
CREATE OR REPLACE FUNCTION mt.differences(a text, b text) RETURNS TABLE (side text, line text)
LANGUAGE sql AS $$
	(SELECT 'only ' || a, l.line FROM mt.catalog(a) l EXCEPT ALL SELECT 'only ' || a, l.line FROM mt.catalog(b) l)
	UNION ALL
	(SELECT 'only ' || b, l.line FROM mt.catalog(b) l EXCEPT ALL SELECT 'only ' || b, l.line FROM mt.catalog(a) l)
	ORDER BY 2, 1
$$;

-- Remember a schema's catalogs and the schemas there are; say what has changed since.
CREATE OR REPLACE FUNCTION mt.remember(nsp text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM mt.remembered;
	INSERT INTO mt.remembered SELECT l.line FROM mt.catalog(nsp) l UNION ALL SELECT 'schema ' || nspname FROM pg_namespace
		WHERE nspname !~ '^pg_(temp|toast_temp)_';
END$$;

CREATE OR REPLACE FUNCTION mt.changes(nsp text, version text DEFAULT NULL) RETURNS TABLE (side text, line text)
LANGUAGE sql AS $$
	WITH now AS (SELECT l.line FROM mt.catalog(nsp) l UNION ALL SELECT 'schema ' || nspname FROM pg_namespace
		WHERE nspname !~ '^pg_(temp|toast_temp)_' AND nspname IS DISTINCT FROM version)
	(SELECT 'gone', l.line FROM mt.remembered l EXCEPT ALL SELECT 'gone', l.line FROM now l)
	UNION ALL
	(SELECT 'new', l.line FROM now l EXCEPT ALL SELECT 'new', l.line FROM mt.remembered l)
	ORDER BY 2, 1
$$;

-- Rows of a relation as JSON, hidden columns left out, in order of their text.
CREATE OR REPLACE FUNCTION mt.rows(nsp text, relation text) RETURNS TABLE (r text)
LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT (SELECT string_agg(key || ''='' || coalesce(value, ''NULL''), '' '' ORDER BY key) FROM jsonb_each_text(to_jsonb(mt_row)) WHERE key !~ ''^_mig_'') FROM %I.%I mt_row ORDER BY 1', nsp, relation);
END$$;

-- How many rows only one of two queries gives
CREATE OR REPLACE FUNCTION mt.unequal(a text, b text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM (((%1$s) EXCEPT ALL (%2$s)) UNION ALL ((%2$s) EXCEPT ALL (%1$s))) x', a, b) INTO n;
	RETURN n;
END$$;

-- Drop a schema, its versions and what is remembered of its migrations.
CREATE OR REPLACE FUNCTION mt.clean(VARIADIC schemas text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE s text;
BEGIN
	PERFORM mig_rollback(m.name, force => true) FROM mig.state m WHERE m.schema = ANY (schemas) AND phase NOT IN ('completed', 'rolled_back');
	FOR s IN SELECT nspname FROM pg_namespace n WHERE nspname = ANY (schemas)
		OR EXISTS (SELECT FROM unnest(schemas) u WHERE nspname ~ ('^(_mig_)?' || u || '_')) LOOP
		EXECUTE format('DROP SCHEMA %I CASCADE', s);
	END LOOP;
END$$;

-- A client's session that is at one version: statements run one by one.
CREATE OR REPLACE FUNCTION mt.at(path text, VARIADIC statements text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE s text;
BEGIN
	PERFORM set_config('search_path', path, true);
	FOREACH s IN ARRAY statements LOOP
		EXECUTE s;
	END LOOP;
END$$;
-- Says each row of a query.
CREATE OR REPLACE PROCEDURE mt.say(label text, query text)
LANGUAGE plpgsql AS $$
DECLARE l text;
BEGIN
	FOR l IN EXECUTE query LOOP
		RAISE INFO '%: %', label, l;
	END LOOP;
END$$;

-- Waits until a query is true; tells after a minute.
CREATE OR REPLACE PROCEDURE mt.wait_for(query text)
LANGUAGE plpgsql AS $$
DECLARE done boolean := false;
BEGIN
	FOR i IN 1 .. 6000 LOOP
		EXECUTE query INTO done;
		EXIT WHEN done;
		COMMIT;
		PERFORM pg_sleep(0.01);
	END LOOP;
	IF done IS NOT TRUE THEN
		RAISE 'not true for a minute: %', query;
	END IF;
END$$;

-- Runs statements with a search_path, as a client would.
CREATE OR REPLACE PROCEDURE mt.run_at(path text, statements text)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', path, false);
	EXECUTE statements;
END$$;

/*
 * One definition there and back: made ready, both versions written and shown, rolled back (the catalogs must be as before), started again, completed,
 * and compared with a twin that the plain statements were run on. Differences are said, and rows through each version; like rows are not
 * said twice. plain: what the twin gets, when it is not the definition itself.
 */
CREATE OR REPLACE PROCEDURE mt.roundtrip(setup text, definition text, old_writes text DEFAULT '', new_writes text DEFAULT '',
										 options jsonb DEFAULT '{}', plain text DEFAULT NULL, old_table text DEFAULT 't', new_table text DEFAULT 't')
LANGUAGE plpgsql AS $$
DECLARE
	name text := 'trip_' || nextval('mt.run');
	version text;
BEGIN
	PERFORM mt.clean('app', 'twin');
	CREATE SCHEMA app;
	CREATE SCHEMA twin;
	CALL mt.run_at('app', setup);
	CALL mt.run_at('twin', setup);
	CALL mt.run_at('app', format('SELECT mt.remember(%L)', 'app'));
	COMMIT;
	version := mig_start(name, definition, options);
	COMMIT;
	CALL mig_wait(name);
	CALL mt.run_at('app', old_writes);
	CALL mt.run_at(quote_ident(version) || ', app', new_writes);
	CALL mt.say('old', format('SELECT * FROM mt.rows(%L, %L)', 'app', old_table));
	CALL mt.say('new', format('SELECT * FROM mt.rows(%L, %L)', version, new_table));
	COMMIT;
	PERFORM mig_rollback(name);
	COMMIT;
	CALL mt.say('after rollback', format('SELECT side || '' '' || line FROM mt.changes(%L, %L)', 'app', version));
	CALL mt.run_at('app', '');
	PERFORM mig_start(name, definition, options);
	COMMIT;
	CALL mig_run(name);
	IF mig_complete(name) <> 'completed' THEN
		COMMIT;
		CALL mig_wait(name, until => 'completed');
	END IF;
	COMMIT;
	CALL mt.run_at('twin', coalesce(plain, definition));
	CALL mt.say('after completion', 'SELECT side || '' '' || line FROM mt.differences(''app'', ''twin'')');
	CALL mt.say('rows of the version and the table differ', format('SELECT r FROM mt.rows(%1$L, %2$L) r EXCEPT ALL SELECT r FROM mt.rows(%3$L, %2$L) r', version, new_table, 'app'));
END$$;
\set ECHO all
