SELECT detected_at AS time, status, severity, title, explanation, toFloat64(excess_usd) AS excess_usd,
       toFloat64(observed_usd_per_hour) AS observed_usd_per_hour,
       toFloat64(expected_usd_per_hour) AS expected_usd_per_hour, arrayStringConcat(remedies, '; ') AS what_to_do
FROM alerts_current
WHERE $__timeFilter(detected_at)
ORDER BY time DESC
LIMIT 100
