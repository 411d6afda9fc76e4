"""What is read of runs, for the HTTP service and for the page: each read is one method of `views.Views`."""
