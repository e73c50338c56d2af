-- mig_control: tables, views and helpers live in schema mig, the API (mig_*) in pg_catalog (docs/architecture.md).
\echo Use "CREATE EXTENSION mig_control" to load this file. \quit
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE SCHEMA mig;
GRANT USAGE ON SCHEMA mig TO PUBLIC;
COMMENT ON SCHEMA mig IS 'mig_control: state, progress and audit of online migrations';
