"""The console: live spend, the inbox of alerts and an alert's page, rendered here, kept live by server-sent events."""
