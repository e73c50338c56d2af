-- Driving and waiting: procedures, since they commit on their way.
CREATE PROCEDURE mig_run(name text, until text DEFAULT 'ready')
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_run';
COMMENT ON PROCEDURE mig_run(text, text) IS 'drive a migration in this session until it has reached a phase, with progress notices';

CREATE PROCEDURE mig_wait(name text, until text DEFAULT 'ready', timeout interval DEFAULT '1 hour')
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_wait';
COMMENT ON PROCEDURE mig_wait(text, text, interval) IS 'wait until a migration has reached a phase';

CREATE PROCEDURE mig_tick(budget interval DEFAULT '5 s')
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_tick';
COMMENT ON PROCEDURE mig_tick(interval) IS 'advance all active migrations of this database for that long';
