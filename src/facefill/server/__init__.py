"""The REST API and the page: photos arrive over HTTP, wait in one bounded queue, and are completed."""
