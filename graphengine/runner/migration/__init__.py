"""What a changed graph means for the runs that were recorded under the old one."""
