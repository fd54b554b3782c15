SELECT DISTINCT model
FROM spend_by_hour
WHERE hour >= now() - INTERVAL 90 DAY AND model != ''
ORDER BY model
LIMIT 1000
