-- The laws of pacing, to see what they would do. They read and change nothing.
CREATE FUNCTION mig.chunk_sizes(ms double precision[], wal double precision[] DEFAULT '{}', pages int DEFAULT 256, most int DEFAULT 1024,
                                target double precision DEFAULT 200, budget double precision DEFAULT 67108864) RETURNS int[]
    LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'mig_chunk_sizes';
COMMENT ON FUNCTION mig.chunk_sizes(double precision[], double precision[], int, int, double precision, double precision) IS 'pages of a backfill''s transactions that take so many ms (NULL: raise an error that should pass) and write so much WAL, and of the next one';

CREATE FUNCTION mig.duty_after(utilisation double precision[], most int DEFAULT 2)
    RETURNS TABLE (second int, duty double precision, workers int)
    LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'mig_duty_after';
COMMENT ON FUNCTION mig.duty_after(double precision[], int) IS 'duty and workers of a backfill, second by second, when the highest utilisation of its signals is such and most workers are allowed';
