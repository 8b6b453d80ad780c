"""What stands in `packaging/`: units, and alert rules and a dashboard from the table of the metrics."""
