SELECT
    told_at AS time, state, severity, kind, team, toFloat64(r.excess_usd) AS excess_usd, detect_seconds, ack_seconds,
    resolve_seconds, escalations, alert_id
FROM response_times AS r
WHERE $__timeFilter(told_at)
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
ORDER BY time DESC
LIMIT 200
