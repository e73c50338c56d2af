-- Proof before trust: looking before starting, and the record afterwards.
CREATE FUNCTION mig_rehearse(definition text, rows int DEFAULT 10000, options jsonb DEFAULT '{}')
    RETURNS TABLE (relation text, column_name text, finding text, rows bigint, found bigint, sample jsonb, note text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_rehearse';
COMMENT ON FUNCTION mig_rehearse(text, int, jsonb) IS 'up, down and new rules on sampled rows, without changing anything: what fails, becomes NULL or does not come back; size and time of the whole';
