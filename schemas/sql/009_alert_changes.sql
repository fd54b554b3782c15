-- What became of alerts: every change of state, with who and when. The newest says where an alert stands.
CREATE TABLE IF NOT EXISTS alert_changes
(
    alert_id  String,
    number    UInt32,
    what      LowCardinality(String),
    state     LowCardinality(String),
    at        DateTime64(6, 'UTC'),
    who       String,
    via       LowCardinality(String),
    note      String,
    until     Nullable(DateTime64(6, 'UTC')),
    level     UInt16,
    severity  LowCardinality(String),
    action_id String,
    landed_at DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (alert_id, number, what)
SETTINGS non_replicated_deduplication_window = 10000;

-- What was done against causes: every change of every remedy. The newest of each: view remedies_current.
CREATE TABLE IF NOT EXISTS remedy_changes
(
    remedy_id                String,
    number                   UInt32,
    alert_id                 String,
    policy                   LowCardinality(String),
    action                   LowCardinality(String),
    target                   String,
    state                    LowCardinality(String),
    at                       DateTime64(6, 'UTC'),
    who                      String,
    via                      LowCardinality(String),
    note                     String,
    undo                     Map(String, String),
    rate_before_usd_per_hour Nullable(Decimal(38, 18)),
    rate_after_usd_per_hour  Nullable(Decimal(38, 18)),
    avoided_usd              Nullable(Decimal(38, 18)),
    action_id                String,
    landed_at                DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (remedy_id, number, state)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE OR REPLACE VIEW remedies_current AS
SELECT * FROM remedy_changes ORDER BY remedy_id, number DESC, landed_at DESC LIMIT 1 BY remedy_id;

-- The times of an alert. Detect: from the beginning in event time to when it was told. Acknowledge and remedy: from then
-- on, by the clock; an acknowledgement by any act of a person counts. NULL: not yet, or never.
CREATE OR REPLACE VIEW alert_times AS
SELECT
    alert_id, opened_at, told_at, acked_at, ended_at,
    dateDiff('millisecond', opened_at, told_at) / 1000 AS detect_seconds,
    dateDiff('millisecond', told_at, acked_at) / 1000 AS ack_seconds,
    dateDiff('millisecond', told_at, ended_at) / 1000 AS resolve_seconds,
    dateDiff('millisecond', opened_at, ended_at) / 1000 AS remediation_seconds,
    acked_by, escalations
FROM
(
    SELECT
        c.alert_id AS alert_id,
        min(a.opened_at) AS opened_at,
        coalesce(minOrNullIf(c.at, c.what = 'opened'), min(a.detected_at)) AS told_at,
        minOrNullIf(c.at, c.via IN ('api', 'cli', 'console', 'link') AND c.what != 'refused') AS acked_at,
        argMinOrNullIf(c.who, c.at, c.via IN ('api', 'cli', 'console', 'link') AND c.what != 'refused') AS acked_by,
        if(argMax(c.state, c.number) IN ('firing', 'acknowledged', 'snoozed'), NULL,
           maxOrNullIf(c.at, c.what IN ('resolved', 'resolved_by_hand', 'marked_false_positive', 'marked_expected'))) AS ended_at,
        uniqExactIf(c.number, c.what = 'escalated') AS escalations
    FROM alert_changes AS c
    INNER JOIN (SELECT alert_id, min(opened_at) AS opened_at, min(detected_at) AS detected_at FROM alerts GROUP BY alert_id) AS a ON a.alert_id = c.alert_id
    GROUP BY c.alert_id
);

-- Alerts as they stand: what detection says newest of each, where people have brought it, and its times.
CREATE OR REPLACE VIEW alerts_now AS
SELECT
    a.*,
    if(s.number = 0, toString(a.status), toString(s.state)) AS state,
    s.number AS changes,
    if(s.number = 0, a.updated_at, s.since) AS state_since,
    s.state_by AS state_by,
    s.until AS snoozed_until,
    s.level AS level,
    t.told_at AS told_at, t.acked_at AS acked_at, t.acked_by AS acked_by, t.ended_at AS ended_at,
    t.detect_seconds AS detect_seconds, t.ack_seconds AS ack_seconds, t.resolve_seconds AS resolve_seconds
FROM alerts_current AS a
LEFT JOIN
(
    SELECT
        c.alert_id AS changed_id,  -- under its own name: a name that both sides have would be qualified in the view
        max(c.number) AS number,
        argMax(toString(c.state), c.number) AS state,
        argMax(c.until, c.number) AS until,
        argMax(c.level, c.number) AS level,
        argMaxIf(c.who, c.number, c.what NOT IN ('refused', 'updated', 'escalated')) AS state_by,
        maxIf(c.at, c.what NOT IN ('refused', 'updated', 'escalated')) AS since
    FROM alert_changes AS c
    GROUP BY c.alert_id
) AS s ON s.changed_id = a.alert_id
LEFT JOIN
(
    SELECT alert_id AS timed_id, told_at, acked_at, acked_by, ended_at, detect_seconds, ack_seconds, resolve_seconds
    FROM alert_times
) AS t ON t.timed_id = a.alert_id;
