"""What becomes of conditions: alarms with a life, hidden, grouped, counted and escalated. Pure."""
