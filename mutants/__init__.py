"""Do the tests bite? Small faults are put into the code, one at a time, and the tests of their room must fail."""
