"""The only room that knows file formats: photos in, photos out, and what is kept of a file."""
