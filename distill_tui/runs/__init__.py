"""What runs come to in words and lists: how one goes, what it was asked, its previews, its log."""
