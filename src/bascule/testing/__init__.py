"""What service developers use in their own tests: private real servers and cases."""
