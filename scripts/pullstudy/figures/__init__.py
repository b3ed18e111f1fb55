"""Style and drawing: data frames in, figures out."""
