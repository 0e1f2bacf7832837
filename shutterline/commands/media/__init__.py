"""Commands about photos in the media bucket: upload, clean, warm."""
