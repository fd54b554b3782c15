SELECT toStartOfDay(at) AS time, policy, toFloat64(sum(d.avoided_usd)) AS avoided_usd
FROM dollars_avoided AS d
WHERE $__timeFilter(at)
GROUP BY time, policy
ORDER BY time, policy
