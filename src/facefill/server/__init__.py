"""The REST API and the page: photos come in over HTTP, wait in one bounded line, and are completed in batches."""
