-- Options that are in effect: a migration's own, with the overrides that hold now. An override counts by the clock, whether anybody has noticed its end or not.
CREATE FUNCTION mig.merge_options(options jsonb, changes jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT jsonb_strip_nulls(options || changes || coalesce((SELECT jsonb_object_agg(c.key, (options -> c.key) || c.value) FROM jsonb_each(changes) c
               WHERE c.key IN ('throttle', 'drift') AND jsonb_typeof(c.value) = 'object' AND jsonb_typeof(options -> c.key) = 'object'), '{}'));
END;
COMMENT ON FUNCTION mig.merge_options(jsonb, jsonb) IS 'options with changes: null takes one back to its default; the members of throttle and drift are changed one by one';

CREATE AGGREGATE mig.merged_options(jsonb) (SFUNC = mig.merge_options, STYPE = jsonb, INITCOND = '{}');
COMMENT ON AGGREGATE mig.merged_options(jsonb) IS 'options with changes, in their order';

CREATE VIEW mig.in_effect AS
    SELECT m.id,
           CASE WHEN EXISTS (SELECT FROM mig.override o WHERE o.migration_id = m.id AND o.ended_at IS NULL AND o.expires_at > clock_timestamp())
                THEN (SELECT mig.merged_options(x.options ORDER BY x.id)
                        FROM (SELECT 0 AS id, m.options
                              UNION ALL
                              SELECT o.id, o.options FROM mig.override o WHERE o.migration_id = m.id AND o.ended_at IS NULL AND o.expires_at > clock_timestamp()) x)
                ELSE m.options END AS options
      FROM mig.migration m;
COMMENT ON VIEW mig.in_effect IS 'the options of each migration that are in effect now';
