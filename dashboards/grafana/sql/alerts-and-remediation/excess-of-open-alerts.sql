SELECT toFloat64(sum(excess_usd)) AS usd
FROM response_times
WHERE state IN ('firing', 'acknowledged', 'snoozed')
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
