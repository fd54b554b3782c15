-- Which of these files were applied, with the digest they had then. Runs before every other file, each time.
-- Rules for all files: NNN_name.sql; a statement ends with a semicolon at the end of its line; every statement may be
-- repeated; a file that was released is never changed, its correction is a new file.
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version    UInt32,
    name       String,
    sha256     String,
    applied_at DateTime('UTC') DEFAULT now()
)
ENGINE = MergeTree
ORDER BY version;
