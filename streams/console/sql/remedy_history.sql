-- What was done against the cause of an alert, step by step.
SELECT * EXCEPT landed_at
FROM remedy_changes
WHERE alert_id = {id:String}
ORDER BY at, remedy_id, number
LIMIT 1 BY remedy_id, number, state
