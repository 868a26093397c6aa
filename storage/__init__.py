"""What is kept: records, tables, queries, files."""
