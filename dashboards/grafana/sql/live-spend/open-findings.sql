-- What detection sees, also what is too small to page.
SELECT
    detected_at AS time, kind, severity, arrayStringConcat(mapValues(series), ', ') AS watched, explanation,
    toFloat64(excess_usd) AS excess_usd, toFloat64(projected_usd_24h) AS projected_usd_24h
FROM findings_current
WHERE status != 'closed'
    AND $__conditionalAll(series['team'] IN (${team:singlequote}), $team)
ORDER BY excess_usd DESC
LIMIT 100
