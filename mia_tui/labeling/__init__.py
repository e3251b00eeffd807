"""Labels: objects as exact outlines, their files with undo, and the review of predictions."""
