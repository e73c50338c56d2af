-- The laws of pacing: sizes of chunks, and duty. Pure arithmetic.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null NULL
\pset footer off
-- A size stays until 11 chunks of it are known; then it grows by at most a half
SELECT mig.chunk_sizes(array_fill(1.0::float8, ARRAY[23]));
-- as far as is allowed
SELECT mig.chunk_sizes(array_fill(1.0::float8, ARRAY[44]), most => 300);
-- No more than the 90th percentile (the second-highest of 11) lets it: one chunk over the target does not count when 11 are known, and before that it does
SELECT mig.chunk_sizes(array_fill(150.0::float8, ARRAY[11]) || ARRAY[150.0::float8]);
SELECT mig.chunk_sizes(array_fill(199.0::float8, ARRAY[11]) || ARRAY[400.0, 400.0]::float8[], most => 256);
SELECT mig.chunk_sizes(ARRAY[100, 250, 100]::float8[]);
-- It shrinks as far as it has to, and to a tenth at once when one takes five times the target
SELECT mig.chunk_sizes(ARRAY[800, 200, 1000, 1000, 1000, 1000]::float8[]);
-- The same for WAL; the smaller size wins
SELECT mig.chunk_sizes(ARRAY[10, 10]::float8[], ARRAY[134217728]);
SELECT mig.chunk_sizes(ARRAY[10, 10]::float8[], ARRAY[335544320]);
SELECT mig.chunk_sizes(ARRAY[400, 10]::float8[], ARRAY[268435456]);
SELECT mig.chunk_sizes(array_fill(10.0::float8, ARRAY[11]), array_fill(53687091.2::float8, ARRAY[11]));
-- Errors that should pass: halved each time, and one page is the least
SELECT mig.chunk_sizes(ARRAY[NULL, NULL, 1, NULL]::float8[], pages => 8);
SELECT mig.chunk_sizes(ARRAY[NULL, NULL, NULL, NULL]::float8[], pages => 2);
-- From one page on it grows again
SELECT (mig.chunk_sizes(array_fill(1.0::float8, ARRAY[44]), pages => 1))[12:];
-- What takes no time at all, and a target nobody can meet
SELECT mig.chunk_sizes(array_fill(0.0::float8, ARRAY[11]));
SELECT mig.chunk_sizes(ARRAY[100, 100, 100, 100]::float8[], target => 0.001);
-- More than is allowed: at the next turn
SELECT mig.chunk_sizes(ARRAY[1, 1]::float8[], pages => 1000, most => 100);
-- Never out of bounds, whatever comes
SELECT min(p), max(p) FROM generate_series(1, 200) seed,
	unnest(mig.chunk_sizes((SELECT array_agg(CASE WHEN (i * seed) % 13 = 0 THEN NULL ELSE ((i * 7919 * seed) % 1200)::float8 END) FROM generate_series(1, 300) i), most => 500)) p;

-- Without load: everything at once
CREATE FUNCTION pg_temp.duty(utilisation float8[], most int DEFAULT 2) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(workers || 'x' || round(duty::numeric, 2), ' ' ORDER BY second) FROM mig.duty_after(utilisation, most) $$;
SELECT pg_temp.duty('{0, 0, 0}', 4);
-- The nearer to its limit, the less to begin with
SELECT u, pg_temp.duty(ARRAY[u], 4) FROM unnest('{0, 0.4, 0.5, 0.7, 0.9, 1, 3}'::float8[]) u;
-- Zones: up, hold, down, half
SELECT u, pg_temp.duty(ARRAY[0.7, u, u], 1) FROM unnest('{0, 0.2, 0.39, 0.4, 0.7, 0.71, 0.85, 1, 1.01, 5}'::float8[]) u;
-- Over the limit it is halved each second, down to the least; then it cools down for 5 s, and takes some seconds up to the full number
SELECT pg_temp.duty(array_fill(0::float8, ARRAY[1]) || array_fill(2::float8, ARRAY[9]) || array_fill(0::float8, ARRAY[14]));
-- A worker goes when the others can do the rest, and not at once
SELECT pg_temp.duty('{0, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8}', 4);
-- Never out of bounds
SELECT min(duty), max(duty), min(workers), max(workers) FROM generate_series(1, 200) seed,
	mig.duty_after((SELECT array_agg(((i * 7919 * seed) % 150) / 100.0) FROM generate_series(1, 300) i), 3);

-- What is refused
SELECT * FROM mt.try('SELECT mig.chunk_sizes(''{1}'', pages => 0)');
SELECT * FROM mt.try('SELECT mig.chunk_sizes(''{1}'', most => 2000000)');
SELECT * FROM mt.try('SELECT mig.chunk_sizes(''{-1}'')');
SELECT * FROM mt.try('SELECT mig.chunk_sizes(''{{1},{2}}'')');
SELECT * FROM mt.try('SELECT mig.chunk_sizes(''{1}'', target => ''NaN'')');
SELECT * FROM mt.try('SELECT mig.duty_after(''{NaN}'')');
SELECT * FROM mt.try('SELECT mig.duty_after(''{0}'', 0)');
SELECT mig.chunk_sizes('{}'), (SELECT count(*) FROM mig.duty_after('{}'));
