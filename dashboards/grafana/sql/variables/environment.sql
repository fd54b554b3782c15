SELECT DISTINCT environment
FROM spend_by_hour
WHERE hour >= now() - INTERVAL 90 DAY AND environment != ''
ORDER BY environment
LIMIT 1000
