"""Every embedding of a cache under inspection: the index of one scan, questions to it, facts about one row."""
