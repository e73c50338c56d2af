CREATE FUNCTION mig.differs(a anyelement, b anyelement) RETURNS boolean
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'mig_differs';
COMMENT ON FUNCTION mig.differs(anyelement, anyelement) IS 'are two values not the same, bit for bit? NULLs are equal';
