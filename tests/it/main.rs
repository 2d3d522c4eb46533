//! Integration tests: the built program against real and scripted daemons.
