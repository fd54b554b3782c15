SELECT at AS time, what, state, who, via, note, alert_id
FROM (SELECT * FROM alert_changes WHERE $__timeFilter(at) LIMIT 1 BY alert_id, number, what, action_id)
ORDER BY time DESC
LIMIT 200
