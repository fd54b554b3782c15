SELECT DISTINCT project
FROM spend_by_hour
WHERE hour >= now() - INTERVAL 90 DAY AND project != ''
ORDER BY project
LIMIT 1000
