SELECT toStartOfDay(told_at) AS time, severity, count() AS alerts
FROM response_times
WHERE $__timeFilter(told_at)
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
GROUP BY time, severity
ORDER BY time, severity
