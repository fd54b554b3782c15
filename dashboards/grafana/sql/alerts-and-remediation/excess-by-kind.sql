SELECT kind, count() AS alerts, toFloat64(sum(r.excess_usd)) AS excess_usd
FROM response_times AS r
WHERE $__timeFilter(told_at)
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
GROUP BY kind
ORDER BY abs(excess_usd) DESC
