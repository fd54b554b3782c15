SELECT DISTINCT provider
FROM spend_by_hour
WHERE hour >= now() - INTERVAL 90 DAY AND provider != ''
ORDER BY provider
LIMIT 1000
