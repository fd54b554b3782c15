-- Response times for Grafana and people: how fast it is noticed, answered and mended. Times are of the day that an alert
-- was told. FinOps calls the last one the remediation cycle time: from the beginning of the spend to its end.
CREATE OR REPLACE VIEW response_times AS
SELECT
    alert_id, kind, severity, team, told_at, acked_at, ended_at, detect_seconds, ack_seconds, resolve_seconds,
    remediation_seconds, escalations, excess_usd, state
FROM
(
    SELECT
        a.alert_id AS alert_id, a.kind AS kind, a.severity AS severity, a.state AS state, a.excess_usd AS excess_usd,
        if(a.series['team'] != '', a.series['team'], if(length(a.drivers) > 0, a.drivers[1].1['team'], '')) AS team
    FROM alerts_now AS a
) AS named
INNER JOIN
(
    SELECT
        alert_id AS timed_id, told_at, acked_at, ended_at, detect_seconds, ack_seconds, resolve_seconds,
        remediation_seconds, escalations
    FROM alert_times
) AS times ON times.timed_id = named.alert_id;

-- Means and medians by the day. NULL where nothing was acknowledged or ended yet: not zero.
CREATE OR REPLACE VIEW response_times_by_day AS
SELECT
    toStartOfDay(told_at) AS day, severity,
    count() AS alerts,
    countIf(acked_at IS NOT NULL) AS acknowledged,
    countIf(ended_at IS NOT NULL) AS ended,
    countIf(r.escalations > 0) AS escalated,
    avgOrNull(r.detect_seconds) AS mean_detect_seconds,
    avgOrNull(r.ack_seconds) AS mtta_seconds,
    avgOrNull(r.resolve_seconds) AS mttr_seconds,
    avgOrNull(r.remediation_seconds) AS remediation_cycle_seconds,
    quantileExactOrNull(0.5)(r.ack_seconds) AS median_ack_seconds,
    quantileExactOrNull(0.5)(r.resolve_seconds) AS median_resolve_seconds,
    sum(r.excess_usd) AS excess_usd
FROM response_times AS r
GROUP BY day, severity;

-- What remedies were worth: each once, by its newest measurement. An undo does not take away what was avoided until then.
CREATE OR REPLACE VIEW dollars_avoided AS
SELECT
    remedy_id, alert_id, policy, action, target, at, rate_before_usd_per_hour, rate_after_usd_per_hour, avoided_usd
FROM remedy_changes
WHERE state = 'measured'
ORDER BY remedy_id, number DESC, landed_at DESC
LIMIT 1 BY remedy_id;

CREATE OR REPLACE VIEW dollars_avoided_by_day AS
SELECT toStartOfDay(at) AS day, policy, count() AS remedies, sum(d.avoided_usd) AS avoided_usd
FROM dollars_avoided AS d
GROUP BY day, policy;

-- How fast a remedy runs once it is approved or allowed, and how it ended.
CREATE OR REPLACE VIEW remedy_times AS
SELECT
    remedy_id, any(c.alert_id) AS alert_id, any(c.policy) AS policy, any(c.action) AS action,
    min(c.at) AS proposed_at,
    minOrNullIf(c.at, c.state = 'approved') AS approved_at,
    minOrNullIf(c.at, c.state = 'done') AS done_at,
    dateDiff('millisecond', approved_at, done_at) / 1000 AS run_seconds,
    dateDiff('millisecond', proposed_at, done_at) / 1000 AS remedy_seconds,
    argMaxIf(toString(c.state), c.number, c.state != 'refused') AS state
FROM remedy_changes AS c
GROUP BY remedy_id;
