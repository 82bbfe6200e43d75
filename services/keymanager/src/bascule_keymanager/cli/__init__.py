"""The programs: parse, call one function, print."""
