"""The schema that every release starts from, and what each release changes in it."""
