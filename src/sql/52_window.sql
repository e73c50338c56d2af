-- Windows of time, for people who want to know what an option means, and for the views.
CREATE FUNCTION mig.window_open("window" jsonb, at timestamptz DEFAULT now()) RETURNS boolean
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mig_window_open';
COMMENT ON FUNCTION mig.window_open(jsonb, timestamptz) IS 'is a window, as in options.window, open at that moment?';

CREATE FUNCTION mig.window_next("window" jsonb, after timestamptz DEFAULT now()) RETURNS timestamptz
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mig_window_next';
COMMENT ON FUNCTION mig.window_next(jsonb, timestamptz) IS 'when a window that is closed at that moment opens, or one that is open closes; infinity: never';

CREATE FUNCTION mig.window_add("window" jsonb, start timestamptz, seconds double precision) RETURNS timestamptz
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mig_window_add';
COMMENT ON FUNCTION mig.window_add(jsonb, timestamptz, double precision) IS 'when a window has been open for so many seconds since the start; infinity: not within years';

CREATE FUNCTION mig.window_reason("window" jsonb, at timestamptz DEFAULT now()) RETURNS text
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mig_window_reason';
COMMENT ON FUNCTION mig.window_reason(jsonb, timestamptz) IS 'until when a window is closed, in words; NULL: it is open';

CREATE FUNCTION mig_override(name text, options jsonb, ttl interval DEFAULT '1 hour', reason text DEFAULT NULL) RETURNS timestamptz
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_override';
COMMENT ON FUNCTION mig_override(text, jsonb, interval, text) IS 'options of pacing that hold for a while; returns when they expire. Without options, or for no time: ends those that run';
