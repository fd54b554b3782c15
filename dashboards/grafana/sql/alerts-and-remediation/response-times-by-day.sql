-- Means in seconds. Empty where nothing was acknowledged or ended yet: that is not zero.
SELECT
    toStartOfDay(told_at) AS time, avgOrNull(detect_seconds) AS detect, avgOrNull(ack_seconds) AS acknowledge,
    avgOrNull(resolve_seconds) AS resolve, avgOrNull(remediation_seconds) AS remediation_cycle
FROM response_times
WHERE $__timeFilter(told_at)
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
GROUP BY time
ORDER BY time
