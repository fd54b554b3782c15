SELECT minute AS time, if(team = '', 'unallocated', team) AS team, toFloat64(effective_cost_usd) AS usd
FROM spend_per_minute_by_team
WHERE $__timeFilter(minute)
ORDER BY time
