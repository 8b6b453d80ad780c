"""Files of this machine: what may be read, whose a file is, and the only place that makes, replaces or renames one."""
