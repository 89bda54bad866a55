"""The pages for programs that embed a tree: each line and each recipe does what the page says."""
