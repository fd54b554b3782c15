-- What detection itself expects where it has an open finding on exactly one team, model or cluster: it is better than ours.
SELECT
    arrayElement(mapKeys(f.series), 1) AS dimension, arrayElement(mapValues(f.series), 1) AS name,
    argMax(f.expected_usd_per_hour, f.detected_at) AS expected_usd_per_hour,
    argMax(a.alert_id, f.detected_at) AS alert_id
FROM findings_current AS f
LEFT JOIN (SELECT alert_id, arrayJoin(findings) AS finding_id FROM alerts_current) AS a ON a.finding_id = f.finding_id
WHERE f.status = 'open' AND f.kind IN ('spike', 'drop', 'creep', 'new_series', 'idle') AND length(f.series) = 1
    AND f.last_seen_at >= {now:DateTime64(6, 'UTC')} - INTERVAL 1 DAY
GROUP BY dimension, name
