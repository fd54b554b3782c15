"""Faults on purpose: processes killed and paused, answers lost; and the proof that nothing is lost or counted twice."""
