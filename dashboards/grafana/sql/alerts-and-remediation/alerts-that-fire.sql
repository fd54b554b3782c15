SELECT count() AS alerts
FROM response_times
WHERE state = 'firing'
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
