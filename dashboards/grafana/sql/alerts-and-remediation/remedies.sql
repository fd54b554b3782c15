SELECT
    at AS time, policy, action, target, state, who, note, toFloat64(r.rate_before_usd_per_hour) AS usd_per_hour_before,
    toFloat64(r.rate_after_usd_per_hour) AS usd_per_hour_after, toFloat64(r.avoided_usd) AS avoided_usd
FROM remedies_current AS r
WHERE $__timeFilter(at)
ORDER BY time DESC
LIMIT 100
