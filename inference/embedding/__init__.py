"""Vectors of questions and passages, and models that rank passages: what the search has beside words."""
