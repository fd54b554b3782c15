SELECT DISTINCT team
FROM spend_by_hour
WHERE hour >= now() - INTERVAL 90 DAY AND team != ''
ORDER BY team
LIMIT 1000
