SELECT
    detected_at AS time, state, severity, title, toFloat64(excess_usd) AS excess_usd,
    toFloat64(observed_usd_per_hour) AS observed_usd_per_hour, toFloat64(expected_usd_per_hour) AS expected_usd_per_hour,
    toFloat64(projected_usd_24h) AS projected_usd_24h, state_by AS taken_by, arrayStringConcat(remedies, '; ') AS what_to_do
FROM alerts_now
WHERE state IN ('firing', 'acknowledged', 'snoozed')
    AND $__conditionalAll(series['team'] IN (${team:singlequote}) OR arrayExists(d -> d.1['team'] IN (${team:singlequote}), drivers), $team)
ORDER BY state = 'firing' DESC, time DESC
LIMIT 100
