SELECT sum(events) AS events
FROM spend_per_minute_by_team
WHERE minute >= now() - INTERVAL 1 HOUR
