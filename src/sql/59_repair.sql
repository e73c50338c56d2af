-- Putting right what has come apart.
CREATE FUNCTION mig_repair(name text, keep text DEFAULT 'origin')
    RETURNS TABLE (relation text, checked bigint, divergent bigint, repaired bigint, sample jsonb)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_repair';
COMMENT ON FUNCTION mig_repair(text, text) IS 'computes pairs that differ again, from the version that wrote them last or from the one that is kept';
