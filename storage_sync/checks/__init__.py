"""The checks that follow every sync and make up verify, as pure functions of facts."""
