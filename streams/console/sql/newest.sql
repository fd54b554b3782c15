-- When the newest charge happened, of the last day, and when anything landed: whether usage still arrives.
SELECT maxOrNull(time) AS newest, maxOrNull(landed_at) AS landed_at
FROM charges
WHERE time > {now:DateTime64(6, 'UTC')} - INTERVAL 1 DAY AND time <= {now:DateTime64(6, 'UTC')} + INTERVAL 1 HOUR
