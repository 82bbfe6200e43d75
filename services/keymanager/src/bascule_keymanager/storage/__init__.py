"""What the key manager keeps, and how it reads and writes it: SQLAlchemy Core, explicit columns, no ORM."""
